/* crc32c - the checksum of blocks, journal groups and peer messages.
 *
 * Castagnoli polynomial, as in iSCSI (RFC 3720 appendix B.4) and ext4.  Uses
 * the processor's instruction where there is one (three streams at once for
 * whole 4 KiB blocks), tables elsewhere; both give the same.  Pure,
 * thread-safe. */
#ifndef SC_STORAGE_CRC32C_H
#define SC_STORAGE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues 'crc' (0 to begin) over 'size' bytes. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The same by tables; for processors without the instruction, and tests. */
uint32_t crc32c_tables(uint32_t crc, const void *data, size_t size);

#endif
