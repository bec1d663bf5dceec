// The auxiliary vector, argument and environment addresses, and where things lie.
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include "check.h"

extern char** environ;

static int show(struct dl_phdr_info* info, size_t size, void* unused) {
  (void)size, (void)unused;
  printf("object %s at %#lx\n", info->dlpi_name, (unsigned long)info->dlpi_addr);
  return 0;
}

int main(int argc, char** argv) {
  printf("%d arguments at %p, environment at %p, main at %p\n", argc, (void*)argv, (void*)environ,
         (void*)&main);
  char** end = environ;
  while (*end != NULL) ++end;
  for (const ElfW(auxv_t)* entry = (const ElfW(auxv_t)*)(end + 1); entry->a_type != AT_NULL;
       ++entry) {
    printf("auxv %lu: %#lx\n", (unsigned long)entry->a_type, (unsigned long)entry->a_un.a_val);
  }
  printf("heap %p, stack %p, libc %p\n", malloc(10), (void*)&argc, (void*)&printf);
  printf("platform %s, execfn %s\n", (char*)getauxval(AT_PLATFORM), (char*)getauxval(AT_EXECFN));
  dl_iterate_phdr(show, NULL);
  return done();
}
