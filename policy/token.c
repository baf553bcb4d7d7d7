#include "token.h"
#include <sodium.h>

bool token_is(struct slice s)
{
    if (s.len < TOKEN_LEN || !slice_starts(s, SLICE(TOKEN_MARK)))
        return false;
    for (size_t i = TOKEN_MARK_LEN; i < TOKEN_LEN; i++) {
        uint8_t c = s.at[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

void token_draw(char *out)
{
    uint8_t random[(TOKEN_LEN - TOKEN_MARK_LEN) / 2];
    char hex[sizeof random * 2 + 1];

    randombytes_buf(random, sizeof random);
    sodium_bin2hex(hex, sizeof hex, random, sizeof random);
    memcpy(out, TOKEN_MARK, TOKEN_MARK_LEN);
    memcpy(out + TOKEN_MARK_LEN, hex, TOKEN_LEN - TOKEN_MARK_LEN);
}
