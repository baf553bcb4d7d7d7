#pragma once
#include <nghttp2/nghttp2.h>

/*
 * h2mem - memory for nghttp2 that is wiped when it is given back.
 *
 *   Layer   codec.  Used by: h2.
 *   Why     the library frees field values, compressed or not, as they are; malloc would hand them on.
 *   Bounds  no state; each call costs what malloc costs and one pass over what is freed.
 */

/* h2mem(): for nghttp2_session_*_new3 and nghttp2_hd_*_new2. It lives for ever, they may keep the pointer. */
nghttp2_mem *h2mem(void);
