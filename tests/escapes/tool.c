// The program that may not run: says that it did.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char** argv) {
  (void)argc, (void)argv;
  FILE* file = fopen("ran", "w");
  if (file != NULL) fclose(file);
  puts("THE TOOL RAN");
  return 0;
}
