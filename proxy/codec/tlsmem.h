#pragma once
#include <stdbool.h>

/*
 * tlsmem - where OpenSSL's record buffers live.
 *
 *   Layer   codec.
 *   Why     a connection's two buffers of 17 KiB come and go while its other memory stays. In the common heap they leave
 *           holes that nobody fills, or cost a mapping each time. In slots of their own they leave none, and a connection
 *           takes the warm slot that the last one left.
 *   Bounds  TLSMEM_SLOTS slots of address space; memory only for those in use, and those used since the last trim. What
 *           does not fit goes to the common heap.
 */
#define TLSMEM_SLOTS 65536

/*
 * tlsmem_open(): from here on OpenSSL's middle-sized memory comes from slots. Before OpenSSL is used for anything.
 *   Gives   false, and nothing has changed, where that is too late, and in builds with AddressSanitizer, which must see
 *           every block.
 */
bool tlsmem_open(void);

/* tlsmem_trim(): slots that nobody needed since the last call give their memory to the system; the other free ones are
 * wiped. To be called about once a second; costs nothing where none was given back. */
void tlsmem_trim(void);

/* tlsmem_wipes(): whether tlsmem_trim wipes what was decrypted; else OpenSSL must, after each read, which costs 5 % of a
 * large body. */
bool tlsmem_wipes(void);
