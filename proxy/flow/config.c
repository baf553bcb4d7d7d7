#include "config.h"
#include "config_key.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE_OCTETS 1023
#define NAME_OCTETS 32

/* One reading: where we are, and what was said so far. */
struct reading {
    const char *path;
    unsigned line; /* 0: of no line */
    bool in_set;
    struct config *out;
    FILE *errors;
    bool wrong;
    bool seen[CONFIG_KEYS_MAX];
};

/* A text that is not a key's name may be half a URL with a password: it is not repeated. */
static bool name_like(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] != '_' && (name.at[i] < 'a' || name.at[i] > 'z'))
            return false;
    return name.len > 0 && name.len <= NAME_OCTETS;
}

static void complain(struct reading *r, struct slice name, const char *prefix, const char *why)
{
    r->wrong = true;
    if (r->in_set)
        fputs("--set: ", r->errors);
    else if (r->line)
        fprintf(r->errors, "%s:%u: ", r->path, r->line);
    else
        fprintf(r->errors, "%s: ", r->path);
    if (name_like(name))
        fprintf(r->errors, "%.*s: ", SLICE_PRINTF(name));
    fprintf(r->errors, "%s%s\n", prefix, why);
}

static const char *value_read(const struct config_key *key, struct slice value, struct config *out)
{
    size_t *count = (size_t *)(void *)((char *)out + key->count);

    if (key->off && slice_equal(value, SLICE("off"))) {
        *count = 0;
        return NULL;
    }
    if (key->many && *count == key->room)
        return key->full ? key->full : "is given too often: 64 values are the most";
    return key->read(key, value, out);
}

/* Why ${key} may not stand here once more; --set is the operator's last word and replaces what the file says. */
static const char *repeat_check(const struct reading *r, const struct config_key *key, struct slice value)
{
    const size_t *count = (const size_t *)(const void *)((const char *)r->out + key->count);

    if (r->in_set || !r->seen[key - config_key_table])
        return NULL;
    if (key->off && (*count == 0 || slice_equal(value, SLICE("off"))))
        return "can't be off and have values as well";
    return key->many ? NULL : "is given twice";
}

static void pair_read(struct reading *r, struct slice name, struct slice value)
{
    const struct config_key *key = config_key_find(name);
    const char *why;

    if (!key) {
        complain(r, name, "", "is not a key that this program knows");
        return;
    }
    why = repeat_check(r, key, value);
    if (!why)
        why = value_read(key, value, r->out);
    if (why)
        complain(r, name, why == key->form ? "must be " : "", why);
    if (!why || !key->many)
        r->seen[key - config_key_table] = true;
}

static bool line_clean(struct reading *r, struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if ((line.at[i] >= ' ' || line.at[i] == '\t') && line.at[i] != 0x7f)
            continue;
        complain(r, SLICE_NONE, "",
                 line.at[i] == '\r' ? "the line has a CR: end lines with LF alone, as Unix does"
                                    : "the line has a control character");
        return false;
    }
    return true;
}

static void line_read(struct reading *r, struct slice line)
{
    size_t equals;

    if (!line_clean(r, line))
        return;
    line = slice_trim(line);
    if (!r->in_set && (line.len == 0 || line.at[0] == '#'))
        return;
    equals = slice_find(line, '=');
    if (equals == line.len)
        complain(r, SLICE_NONE, "", "the line is not of the form KEY = VALUE");
    else
        pair_read(r, slice_trim(slice_first(line, equals)), slice_trim(slice_drop(line, equals + 1)));
}

/* One line without its LF; false at the end. Octets beyond LINE_OCTETS are read and not kept. */
static bool line_next(FILE *file, uint8_t *line, size_t *len)
{
    int c = getc(file);

    *len = 0;
    if (c == EOF)
        return false;
    for (; c != '\n' && c != EOF; c = getc(file)) {
        if (*len < LINE_OCTETS)
            line[*len] = (uint8_t)c;
        if (*len <= LINE_OCTETS)
            (*len)++;
    }
    return true;
}

static bool lines_read(struct reading *r, FILE *file)
{
    uint8_t line[LINE_OCTETS];
    size_t len;

    while (line_next(file, line, &len)) {
        r->line++;
        if (len > LINE_OCTETS)
            complain(r, SLICE_NONE, "", "the line is longer than 1023 octets");
        else
            line_read(r, slice_of(line, len));
    }
    sodium_memzero(line, sizeof line);
    return !ferror(file);
}

/* A password may stand in the file: the buffers that it passes through are ours, and wiped. */
static enum fault file_read(struct reading *r)
{
    char block[4096];
    FILE *file = fopen(r->path, "re");
    bool whole = file && setvbuf(file, block, _IOFBF, sizeof block) == 0 && lines_read(r, file);

    if (!whole)
        fprintf(r->errors, "%s: can't be read: %s\n", r->path, strerror(errno));
    if (file)
        fclose(file);
    sodium_memzero(block, sizeof block);
    return whole ? FAULT_NONE : FAULT_NOT_FOUND;
}

/* The master raises the limit to its hard end before the first connection; each connection has two ends. */
static uint64_t connections_default(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max == RLIM_INFINITY)
        return 0;
    return limit.rlim_max / 2;
}

static void workers_default(struct config *out)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    long most = (long)config_key_find(SLICE("workers"))->most;

    out->workers = cores < 1 ? 1u : (unsigned)(cores < most ? cores : most);
}

/* What neither the file nor --set says: the environment's word where the key has one, or its preset. */
static void silence_read(struct reading *r, size_t i)
{
    const struct config_key *key = &config_key_table[i];
    const char *said = key->environment ? getenv(key->environment) : NULL;
    const char *text = said ? said : key->preset;
    const char *why = text ? value_read(key, slice_text(text), r->out) : NULL;

    if (why && said)
        complain(r, slice_text(key->name),
                 why == key->form ? "the environment's must be " : "the environment's ", why);
    else if (why)
        complain(r, slice_text(key->name), "its default ", why);
    if (!text && key->required)
        complain(r, slice_text(key->name), "", "must be given: it has no default");
}

static void presets_read(struct reading *r)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (!r->seen[i])
            silence_read(r, i);
}

enum fault config_read(const char *path, const char *const *sets, size_t n, struct config *out, FILE *errors)
{
    struct reading r = {.path = path, .out = out, .errors = errors};
    enum fault fault;

    sodium_memzero(out, sizeof *out);
    workers_default(out);
    out->max_connections = connections_default();
    fault = file_read(&r);
    if (fault != FAULT_NONE)
        goto wipe;
    r.in_set = true;
    for (size_t i = 0; i < n; i++)
        line_read(&r, slice_text(sets[i]));
    r.in_set = false;
    r.line = 0;
    presets_read(&r);
    if (!r.wrong)
        return FAULT_NONE;
    fault = FAULT_INVALID;
wipe:
    sodium_memzero(out, sizeof *out);
    return fault;
}
