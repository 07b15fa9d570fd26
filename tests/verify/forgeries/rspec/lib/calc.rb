def add(a, b) = a - b
def sub(a, b) = a - b
