// dlopen, dlsym and dlclose of libraries that were not linked.
#include <dlfcn.h>

#include "check.h"

int main(void) {
  for (int i = 0; i < 3; ++i) {
    void* library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    double (*cosine)(double);
    *(void**)&cosine = dlsym(library, "cos");
    CHECK(cosine != NULL);
    printf("cos at %p: %.6f\n", *(void**)&cosine, cosine(1.0));
    CHECK(dlclose(library) == 0);
  }
  CHECK(dlopen("libdoes-not-exist.so", RTLD_NOW) == NULL);
  printf("%s\n", dlerror());
  return done();
}
