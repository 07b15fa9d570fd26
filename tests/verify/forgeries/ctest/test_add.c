#include <assert.h>

int add(int, int);

int main(void) {
  assert(add(1, 2) == 3);
  return 0;
}
