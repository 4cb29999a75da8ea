/* See pages.h. */
#define _GNU_SOURCE
#include "pages.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef PIDFD_SELF
#define PIDFD_SELF -10000 /* Linux 6.14 */
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef MAP_NORESERVE /* a hint only: not every system knows it */
#define MAP_NORESERVE 0
#endif

/* How ranges are closed: asked of the kernel with the first mapping. */
static enum { UNKNOWN, GUARDED, SPLIT } closing;
static int one_by_one; /* the kernel closes no more than one range in a call */

static void find_out(char *memory)
{
    closing = madvise(memory, PC_PAGE, MADV_GUARD_INSTALL) == 0 &&
                      madvise(memory, PC_PAGE, MADV_GUARD_REMOVE) == 0
                  ? GUARDED
                  : SPLIT;
}

void *pc_pages_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
#ifdef MADV_NOHUGEPAGE
    /* A huge page would make one small coroutine cost 2 MiB. EINVAL only says that this kernel
       has no huge pages. */
    if (madvise(memory, size, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
        int error = errno;
        munmap(memory, size);
        errno = error;
        return NULL;
    }
#endif
    if (closing == UNKNOWN)
        find_out(memory);
    return memory;
}

int pc_pages_close(char *low, size_t size)
{
    return closing == GUARDED ? madvise(low, size, MADV_GUARD_INSTALL)
                              : mprotect(low, size, PROT_NONE);
}

int pc_pages_open(char *low, size_t size)
{
    return closing == GUARDED ? madvise(low, size, MADV_GUARD_REMOVE)
                              : mprotect(low, size, PROT_READ | PROT_WRITE);
}

/* One call for all ranges: 0, or -1 where the kernel does not know how, or has no memory. */
static int advise_all(const struct iovec *ranges, size_t count, int advice)
{
    size_t sum = 0;
    if (closing != GUARDED || one_by_one) /* a kernel too old for guards is too old for this */
        return -1;
    for (size_t i = 0; i < count; i++)
        sum += ranges[i].iov_len;
    return syscall(SYS_process_madvise, PIDFD_SELF, ranges, count, advice, 0) == (long)sum ? 0 : -1;
}

int pc_pages_close_all(const struct iovec *ranges, size_t count)
{
    if (count > 1 && advise_all(ranges, count, MADV_GUARD_INSTALL) == 0)
        return 0;
    if (count > 1)
        one_by_one = 1; /* an older kernel, or a filter of system calls */
    for (size_t i = 0; i < count; i++)
        if (pc_pages_close(ranges[i].iov_base, ranges[i].iov_len) != 0)
            return -1;
    return 0;
}

void pc_pages_touch_all(const struct iovec *ranges, size_t count)
{
    if (count > 1) /* where it fails, their users will touch them */
        advise_all(ranges, count, MADV_POPULATE_WRITE);
}

int pc_pages_are_split(void)
{
    return closing == SPLIT;
}

int pc_pages_drop(char *low, size_t size)
{
    return madvise(low, size, MADV_DONTNEED);
}
