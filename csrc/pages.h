/* Address space by whole pages: mapped, closed and opened again, given back.
 *
 * A closed range faults at any touch. From Linux 6.13 it is closed by MADV_GUARD_INSTALL, which
 * leaves the mapping as one; before, by mprotect, which splits it, and there are only so many
 * mappings (vm.max_map_count). The first pc_pages_map() finds out which.
 *
 * Contract: low and size are multiples of PC_PAGE, in what pc_pages_map() gave. Calls need the
 * caller's lock, but for pc_pages_close() and pc_pages_open(), which are safe inside a signal
 * handler. Those that give an int give 0, or -1 with errno.
 */
#ifndef PC_PAGES_H
#define PC_PAGES_H

#include <stddef.h>
#include <sys/uio.h>

enum { PC_PAGE = 4096 };

/* Private memory, zeros, not reserved, without huge pages; NULL with errno. Never unmapped. */
void *pc_pages_map(size_t size);

int pc_pages_close(char *low, size_t size);
int pc_pages_open(char *low, size_t size);

/* Closes all ranges: in one call where the kernel can. */
int pc_pages_close_all(const struct iovec *ranges, size_t count);

/* Gets memory for all ranges, which are about to be used, if the kernel can do it in one call: that
   is cheaper than a page fault for each. */
void pc_pages_touch_all(const struct iovec *ranges, size_t count);

/* Has each closed range a mapping of its own? */
int pc_pages_are_split(void);

/* The content is lost, and the memory free. */
int pc_pages_drop(char *low, size_t size);

#endif
