#include "table.h"

uint8_t table_key[crypto_shorthash_KEYBYTES];

void table_seed(void)
{
    randombytes_buf(table_key, sizeof table_key);
}
