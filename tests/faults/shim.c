/* Lets the system's calls on files below one folder fail as a full, broken or read-only disk does: the one call of a given
   number, or all from that one on. Preloaded (LD_PRELOAD) into a process that arms and disarms it by itself, or that is
   armed from its start by SHIM_FOLDER, SHIM_NTH, SHIM_ERROR and SHIM_LASTING. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char prefix[4096];
static atomic_int armed, sticky, number_of_error;
static atomic_long nth, seen, failed;

void insula_arm(const char *folder, long place, int error, int lasting) {
  snprintf(prefix, sizeof prefix, "%s", folder);
  atomic_store(&nth, place), atomic_store(&number_of_error, error), atomic_store(&sticky, lasting);
  atomic_store(&seen, 0), atomic_store(&failed, 0);
  atomic_store(&armed, 1);
}
void insula_disarm(void) { atomic_store(&armed, 0); }
long insula_seen(void) { return atomic_load(&seen); }
long insula_failed(void) { return atomic_load(&failed); }

__attribute__((constructor)) static void at_start(void) {
  const char *folder = getenv("SHIM_FOLDER"), *place = getenv("SHIM_NTH"), *error = getenv("SHIM_ERROR");
  if (folder && place && error) insula_arm(folder, atol(place), atoi(error), getenv("SHIM_LASTING") != NULL);
}

static int hit(const char *path) {
  if (!atomic_load(&armed) || strncmp(path, prefix, strlen(prefix))) return 0;
  long place = atomic_fetch_add(&seen, 1) + 1;
  if (place == atomic_load(&nth) || (atomic_load(&sticky) && place > atomic_load(&nth))) {
    atomic_fetch_add(&failed, 1);
    errno = atomic_load(&number_of_error);
    return 1;
  }
  return 0;
}
static int hit_open(int descriptor) {
  if (!atomic_load(&armed)) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return hit(path);
}
#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define ON_OPEN(type, name, parameters, arguments, descriptor) \
  type name parameters { REAL(name); return hit_open(descriptor) ? -1 : real arguments; }

ON_OPEN(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), fd)
ON_OPEN(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), fd)
ON_OPEN(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), fd)
ON_OPEN(ssize_t, writev, (int fd, const struct iovec *data, int count), (fd, data, count), fd)
ON_OPEN(int, fsync, (int fd), (fd), fd)
ON_OPEN(int, fdatasync, (int fd), (fd), fd)
int rename(const char *from, const char *to) { REAL(rename); return hit(to) ? -1 : real(from, to); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); return hit(path) ? -1 : real(path, mode); }
#define ON_CREATION(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
    return (flags & O_CREAT) && hit(path) ? -1 : real(path, flags, mode); }
ON_CREATION(open)
ON_CREATION(open64)
