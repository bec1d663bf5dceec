// What a program got, in one number that it prints.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

static uint64_t digest = 14695981039346656037u;
static void mix(uint64_t value) { digest = (digest ^ value) * 0x100000001b3u; }

// A child does it all too, and prints what it came to.
static void in_child(void (*all)(void)) {
  const pid_t child = fork_flushed();
  if (child == 0) {
    all();
    printf("child %llx\n", (unsigned long long)digest);
    exit(0);
  }
  CHECK(wait_exit(child) == 0);
}
