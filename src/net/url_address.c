#include "seedancefs/net/url.h"

#include <string.h>

struct prefix {
    unsigned char bytes[16];
    unsigned bits;
};

/*
 * The rows of the IANA IPv4 Special-Purpose Address Registry that no public service can have, and
 * multicast. The globally reachable anycast blocks of AS112 and AMT are left out.
 */
static const struct prefix forbidden_v4[] = {
    {{0}, 8},             /* this network (RFC 791) */
    {{10}, 8},            /* private (RFC 1918) */
    {{100, 64}, 10},      /* carrier-grade NAT (RFC 6598) */
    {{127}, 8},           /* loopback (RFC 1122) */
    {{169, 254}, 16},     /* link-local, cloud metadata (RFC 3927) */
    {{172, 16}, 12},      /* private (RFC 1918) */
    {{192, 0, 0}, 24},    /* protocol assignments (RFC 6890) */
    {{192, 0, 2}, 24},    /* documentation (RFC 5737) */
    {{192, 88, 99}, 24},  /* 6to4 relays, deprecated (RFC 7526) */
    {{192, 168}, 16},     /* private (RFC 1918) */
    {{198, 18}, 15},      /* benchmarks (RFC 2544) */
    {{198, 51, 100}, 24}, /* documentation (RFC 5737) */
    {{203, 0, 113}, 24},  /* documentation (RFC 5737) */
    {{224}, 4},           /* multicast (RFC 5771) */
    {{240}, 4},           /* reserved, broadcast (RFC 1112, RFC 8190) */
};

/* The parts of 2000::/3 that no public service can have. All addresses outside of
 * it are forbidden. */
static const struct prefix forbidden_v6[] = {
    {{0x20, 0x01}, 23},             /* protocol assignments (RFC 2928) but Teredo, see below */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation (RFC 3849) */
    {{0x3f, 0xff}, 20},             /* documentation (RFC 9637) */
};

/* IPv6 addresses that lead to an IPv4 address. That address decides. */
struct embedding {
    struct prefix prefix;
    unsigned offset;    /* of the IPv4 address */
    unsigned char mask; /* its bytes are XORed with this */
};

static const struct embedding embeddings[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12, 0}, /* v4-mapped (RFC 4291) */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12, 0},                   /* NAT64 (RFC 6052) */
    {{{0x20, 0x02}, 16}, 2, 0},                                /* 6to4 (RFC 3056) */
    {{{0x20, 0x01, 0x00, 0x00}, 32}, 4, 0},                    /* Teredo's server (RFC 4380) */
    {{{0x20, 0x01, 0x00, 0x00}, 32}, 12, 0xff},                /* Teredo's client */
};

static bool prefix_has(const struct prefix *prefix, const unsigned char *address)
{
    unsigned bytes = prefix->bits / 8;
    unsigned rest = prefix->bits % 8;
    if (memcmp(prefix->bytes, address, bytes) != 0)
        return false;
    unsigned mask = rest ? (0xff00u >> rest) & 0xffu : 0;
    return ((prefix->bytes[bytes % 16] ^ address[bytes % 16]) & mask) == 0;
}

static bool is_forbidden_v4(const unsigned char *address)
{
    for (size_t i = 0; i < ARRAY_COUNT(forbidden_v4); i++) {
        if (prefix_has(&forbidden_v4[i], address))
            return true;
    }
    return false;
}

static bool is_forbidden_v6(const unsigned char *address)
{
    bool is_embedding = false;
    for (size_t i = 0; i < ARRAY_COUNT(embeddings); i++) {
        const struct embedding *embedding = &embeddings[i];
        if (!prefix_has(&embedding->prefix, address))
            continue;
        unsigned char v4[4];
        for (unsigned b = 0; b < sizeof(v4); b++)
            v4[b] = address[embedding->offset + b] ^ embedding->mask;
        if (is_forbidden_v4(v4))
            return true;
        is_embedding = true;
    }
    if (is_embedding)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(forbidden_v6); i++) {
        if (prefix_has(&forbidden_v6[i], address))
            return true;
    }
    return (address[0] & 0xe0) != 0x20; /* not 2000::/3, global unicast */
}

bool url_is_forbidden_address(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        return is_forbidden_v4((const unsigned char *)&v4.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        return is_forbidden_v6(v6.sin6_addr.s6_addr);
    }
    return true;
}
