// readv, writev, preadv, pwritev, sendfile, copy_file_range, splice, tee, fallocate, flock, fcntl
// locks, extended attributes, links, directories, statx.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "check.h"

static unsigned long digest_of(int fd) {
  unsigned long digest = 5381;
  char buffer[4096];
  ssize_t got;
  off_t at = 0;
  while ((got = pread(fd, buffer, sizeof buffer, at)) > 0) {
    for (ssize_t i = 0; i < got; ++i) digest = digest * 33 + (unsigned char)buffer[i];
    at += got;
  }
  return digest;
}

static void vectors(int fd) {
  char header[8] = "header:", body[3000], tail[6] = ":tail";
  memset(body, 'b', sizeof body);
  struct iovec out[3] = {{header, 7}, {body, sizeof body}, {tail, 5}};
  CHECK(writev(fd, out, 3) == 3012);
  CHECK(pwritev(fd, out, 1, 3012) == 7);
  char first[10], second[4000];
  struct iovec in[2] = {{first, 10}, {second, sizeof second}};
  CHECK(lseek(fd, 0, SEEK_SET) == 0);
  CHECK(readv(fd, in, 2) == 3019);
  CHECK(memcmp(first, "header:bbb", 10) == 0 && memcmp(second + 3002, ":tailheader", 7) != 0);
  CHECK(preadv(fd, in, 2, 3000) == 19);
  printf("vectors: %.10s\n", first);
}

static void transfers(int fd) {
  int copy = open("copy.bin", O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(copy >= 0);
  off_t at = 0;
  CHECK(sendfile(copy, fd, &at, 2000) == 2000 && at == 2000);
  loff_t from = 2000;
  ssize_t copied = copy_file_range(fd, &from, copy, NULL, 1019, 0);
  if (copied < 0) {
    printf("copy_file_range: %s\n", strerror(errno));
    CHECK(lseek(fd, 2000, SEEK_SET) == 2000);
    CHECK(sendfile(copy, fd, NULL, 1019) == 1019);
  }
  CHECK(digest_of(copy) == digest_of(fd));
  int ends[2], other[2];
  CHECK(pipe(ends) == 0 && pipe(other) == 0);
  from = 0;
  CHECK(splice(fd, &from, ends[1], NULL, 100, 0) == 100);
  CHECK(tee(ends[0], other[1], 100, 0) == 100);
  char text[101] = {0};
  CHECK(read(ends[0], text, 100) == 100);
  CHECK(splice(other[0], NULL, copy, NULL, 100, 0) == 100);
  printf("transfers: digest %lx, through pipes %.10s\n", digest_of(copy), text);
  struct iovec part = {text, 50};
  if (vmsplice(ends[1], &part, 1, 0) != 50) {
    CHECK(errno == EINVAL);
    CHECK(writev(ends[1], &part, 1) == 50);
  }
  CHECK(read(ends[0], text, 50) == 50);
  close(copy);
}

static void locks(int fd) {
  CHECK(flock(fd, LOCK_EX) == 0);
  int other = open("data.bin", O_RDWR);
  CHECK(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
  CHECK(flock(fd, LOCK_UN) == 0);
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20};
  CHECK(fcntl(fd, F_SETLK, &range) == 0);
  pid_t child = fork_flushed();
  if (child == 0) {
    struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
    CHECK(fcntl(fd, F_GETLK, &asked) == 0 && asked.l_type == F_WRLCK);
    printf("locks: %ld bytes from %ld held by %d\n", (long)asked.l_len, (long)asked.l_start,
           asked.l_pid);
    CHECK(asked.l_pid == getppid());
    fflush(stdout);
    _exit(0);
  }
  CHECK(wait_exit(child) == 0);
}

static void names(void) {
  CHECK(mkdir("tree", 0755) == 0 && mkdir("tree/inner", 0700) == 0);
  int directory = open("tree", O_RDONLY | O_DIRECTORY);
  CHECK(directory >= 0);
  CHECK(symlinkat("../data.bin", directory, "link") == 0);
  CHECK(linkat(AT_FDCWD, "data.bin", directory, "hard", 0) == 0);
  char target[64] = {0};
  CHECK(readlinkat(directory, "link", target, sizeof target - 1) == 11);
  struct statx status;
  CHECK(statx(directory, "hard", 0, STATX_BASIC_STATS | STATX_BTIME, &status) == 0);
  CHECK(status.stx_nlink == 2);
  printf("names: inode %llu, size %llu, changed %lld.%09u\n", (unsigned long long)status.stx_ino,
         (unsigned long long)status.stx_size, (long long)status.stx_mtime.tv_sec,
         status.stx_mtime.tv_nsec);
  CHECK(renameat2(directory, "hard", directory, "renamed", RENAME_NOREPLACE) == 0);
  CHECK(faccessat(directory, "renamed", R_OK, 0) == 0);
  CHECK(fchmodat(directory, "renamed", 0600, 0) == 0);
  struct timespec times[2] = {{1000000000, 5}, {1000000001, 7}};
  CHECK(utimensat(directory, "renamed", times, 0) == 0);
  int entries = 0;
  DIR* listing = opendir("tree");
  CHECK(listing != NULL);
  while (readdir(listing) != NULL) ++entries;
  closedir(listing);
  CHECK(entries == 5);
  char here[512];
  CHECK(fchdir(directory) == 0 && getcwd(here, sizeof here) != NULL && chdir("..") == 0);
  printf("was in %s\n", here);
  CHECK(unlinkat(directory, "link", 0) == 0 && unlinkat(directory, "renamed", 0) == 0);
  CHECK(unlinkat(directory, "inner", AT_REMOVEDIR) == 0 && rmdir("tree") == 0);
}

int main(void) {
  int fd = open("data.bin", O_RDWR | O_CREAT | O_TRUNC, 0644);
  CHECK(fd >= 0);
  vectors(fd);
  transfers(fd);
  locks(fd);
  names();
  int result = fallocate(fd, 0, 0, 65536);
  printf("fallocate: %s\n", result == 0 ? "done" : strerror(errno));
  CHECK(ftruncate(fd, 100) == 0 && fsync(fd) == 0 && fdatasync(fd) == 0);
  result = fsetxattr(fd, "user.airr", "value", 5, 0);
  char value[16] = {0};
  if (result == 0) CHECK(fgetxattr(fd, "user.airr", value, sizeof value) == 5);
  printf("attribute: %s\n", result == 0 ? value : strerror(errno));
  struct statfs filesystem;
  CHECK(fstatfs(fd, &filesystem) == 0);
  printf("%lu blocks free\n", (unsigned long)filesystem.f_bfree);
  char name[] = "temporary-XXXXXX";
  int temporary = mkstemp(name);
  CHECK(temporary >= 0 && unlink(name) == 0);
  printf("temporary file %s\n", name);
  CHECK(access("/nonexistent", F_OK) == -1 && errno == ENOENT);
  return done();
}
