#include "print.h"
#include "verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

/* Never over a file that is there: the old key is what opens everything that is stored. */
enum outcome key_init(struct desk *d, const char *const *words)
{
    int fd = open(words[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint8_t key[SEAL_KEY_OCTETS];
    bool written;

    if (fd < 0 && errno == EEXIST)
        return outcome_say(OUTCOME_REFUSED, "%s exists; a key file is never overwritten", words[0]);
    if (fd < 0)
        return outcome_say(OUTCOME_FAILED, "%s can't be written: %s", words[0], strerror(errno));
    randombytes_buf(key, sizeof key);
    written = fchmod(fd, 0600) == 0 && write(fd, key, sizeof key) == (ssize_t)sizeof key && fsync(fd) == 0;
    sodium_memzero(key, sizeof key);
    if (close(fd) == 0 && written) {
        print_quiet(d, json_pack("{s:s}", "file", words[0]));
        return OUTCOME_DONE;
    }
    unlink(words[0]);
    return outcome_say(OUTCOME_FAILED, "%s can't be written", words[0]);
}
