#include <string.h>

#include "virtual.h"

void virtual_defaults(virtual_settings *settings)
{
    static const uint8_t host_of_qemu[4] = {10, 0, 2, 2};

    memset(settings, 0, sizeof *settings);
    memcpy(settings->id, "board-1", 8);
    memcpy(settings->hub, host_of_qemu, 4);
    memcpy(settings->folder, ".", 2);
    settings->test_ms = 3600000;
}

/* A decimal number up to `most` before `end`; the character after it, or NULL. */
static const char *parse_number(const char *text, char end, int64_t most, int64_t *number)
{
    int64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9' && value <= most; at++) {
        value = 10 * value + (*at - '0');
    }
    if (at == text || *at != end || value > most) {
        return NULL;
    }
    *number = value;
    return at + 1;
}

static int parse_address(const char *text, uint8_t address[4])
{
    for (int i = 0; i < 4; i++) {
        int64_t part;

        text = parse_number(text, i < 3 ? '.' : '\0', 255, &part);
        if (text == NULL) {
            return -1;
        }
        address[i] = (uint8_t)part;
    }
    return 0;
}

static int set_text(char *to, size_t space, const char *value)
{
    size_t length = strlen(value);

    if (length == 0 || length >= space) {
        return -1;
    }
    memset(to, 0, space); /* nothing of a longer one stays: the id is sent with all its bytes */
    memcpy(to, value, length);
    return 0;
}

static int set_number(const char *value, int64_t most, int64_t *number)
{
    return parse_number(value, '\0', most, number) == NULL ? -1 : 0;
}

int virtual_set(virtual_settings *settings, const char *word, const char **reason)
{
    const char *value = strchr(word, '=');
    size_t name = value == NULL ? 0 : (size_t)(value - word);
    int64_t number = settings->port;
    int result = -1;

    *reason = "a setting is none of folder=, sensor=, id=, hub=, port=, test_ms=";
    if (name == 0) {
        return -1;
    }
    value++;
    if (strncmp(word, "folder=", name + 1) == 0) {
        result = set_text(settings->folder, sizeof settings->folder - 20, value);
    } else if (strncmp(word, "sensor=", name + 1) == 0) {
        result = set_text(settings->sensor, sizeof settings->sensor, value);
    } else if (strncmp(word, "id=", name + 1) == 0) {
        result = set_text(settings->id, sizeof settings->id, value);
    } else if (strncmp(word, "hub=", name + 1) == 0) {
        result = parse_address(value, settings->hub);
    } else if (strncmp(word, "port=", name + 1) == 0) {
        result = set_number(value, 65535, &number);
    } else if (strncmp(word, "test_ms=", name + 1) == 0) {
        result = set_number(value, 1000000000, &settings->test_ms);
    } else {
        return -1;
    }
    settings->port = (uint16_t)number;
    *reason = "a setting has no valid value";
    return result;
}
