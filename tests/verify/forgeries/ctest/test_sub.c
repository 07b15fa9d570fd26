int sub(int, int);

int main(void) { return sub(3, 2) == 1 ? 0 : 1; }
