// Reads standard input to its end and gives it back with line numbers; half to standard error.
#include "check.h"

int main(void) {
  char line[4096];
  for (int number = 1; fgets(line, sizeof line, stdin) != NULL; ++number) {
    fprintf(number % 2 ? stdout : stderr, "%d: %s", number, line);
    fflush(stdout);
  }
  printf("terminals: %d %d %d\n", isatty(0), isatty(1), isatty(2));
  return done();
}
