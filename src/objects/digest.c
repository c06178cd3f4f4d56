#include "objects_private.h"

#include "seedancefs/base/base64.h"
#include "seedancefs/base/cleanup.h"

#include <openssl/evp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { MD5_BYTES = 16, SHA256_BYTES = 32 };

struct objects_digest {
    EVP_MD_CTX *md5;
    EVP_MD_CTX *sha256;
};

void hex_write(const unsigned char *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

struct objects_digest *objects_digest_free(struct objects_digest *digest)
{
    if (!digest)
        return NULL;
    EVP_MD_CTX_free(digest->md5);
    EVP_MD_CTX_free(digest->sha256);
    free(digest);
    return NULL;
}

int objects_digest_new(struct objects_digest **out)
{
    struct objects_digest *digest = calloc(1, sizeof(*digest));
    if (!digest)
        return -ENOMEM;
    digest->md5 = EVP_MD_CTX_new();
    digest->sha256 = EVP_MD_CTX_new();
    int r = digest->md5 && digest->sha256 ? 0 : -ENOMEM;
    /* libcrypto may be set up so that it refuses MD5. */
    if (r == 0 && (!EVP_DigestInit_ex(digest->md5, EVP_md5(), NULL) ||
                   !EVP_DigestInit_ex(digest->sha256, EVP_sha256(), NULL)))
        r = -ENOTSUP;
    if (r < 0)
        objects_digest_free(digest);
    else
        *out = digest;
    return r;
}

int objects_digest_add(struct objects_digest *digest, const void *bytes, size_t len)
{
    return EVP_DigestUpdate(digest->md5, bytes, len) && EVP_DigestUpdate(digest->sha256, bytes, len)
               ? 0
               : -EIO;
}

int objects_digest_end(struct objects_digest *digest, struct objects_sums *out)
{
    unsigned char md5[MD5_BYTES];
    unsigned char sha256[SHA256_BYTES];
    CLEANUP(buf_fini) struct buf text = {.limit = sizeof(out->md5)};
    bool is_done = EVP_DigestFinal_ex(digest->md5, md5, NULL) &&
                   EVP_DigestFinal_ex(digest->sha256, sha256, NULL);
    objects_digest_free(digest);
    if (!is_done)
        return -EIO;
    base64_encode(&text, (const char *)md5, sizeof(md5));
    (void)snprintf(out->md5, sizeof(out->md5), "%s", buf_text(&text));
    hex_write(sha256, sizeof(sha256), out->sha256);
    return text.error;
}
