#include "shared.h"
#include <sys/mman.h>

void *shared_open(size_t octets)
{
    void *map = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return map == MAP_FAILED ? NULL : map;
}
