// A program that writes to the log of its gate, if it is told what: recording has to end there
// (evidence.forged_log).
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "recorder/gate/gate.h"

int main(int argc, char** argv) {
  struct airr_gate_data* data = (struct airr_gate_data*)AIRR_GATE_DATA;
  unsigned char present;
  if (argc < 2 || mincore(data, 4096, &present) != 0) {
    puts("done");
    return 0;
  }
  char byte;
  const int fd = dup(0);
  for (int i = 0; i < 40; ++i) (void)!pread(fd, &byte, 1, 0);
  close(fd);
  puts("before");
  fflush(stdout);
  struct airr_gate_entry* entry = (struct airr_gate_entry*)data->log;
  memset(entry, 0, sizeof *entry);
  entry->number = 59;  // execve, which no gate makes
  data->log_used = sizeof *entry;
  if (strcmp(argv[1], "length") == 0) data->log_used = AIRR_GATE_LOG_SIZE + 1;
  if (strcmp(argv[1], "beyond") == 0) {
    entry->number = 0;
    entry->out = UINT32_MAX;
  }
  puts("after");
  fflush(stdout);
  return 0;
}
