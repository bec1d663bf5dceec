#include <stdio.h>

int part1(int), part2(int), part3(int), part4(int), part5(int), part6(int);

int main(void) {
  printf("built at %s: %d\n", BUILT, part1(part2(part3(part4(part5(part6(1)))))));
  return 0;
}
