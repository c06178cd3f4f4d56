#include "sim/digest.h"
#include "sim/util.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

static void digest_any(const EVP_MD *type, const void *bytes, size_t len, unsigned char *out)
{
    if (EVP_Digest(bytes, len, out, NULL, type, NULL) != 1)
        sim_die("libcrypto has no such digest", ENOSYS);
}

void digest_md5(const void *bytes, size_t len, unsigned char out[static MD5_SIZE])
{
    digest_any(EVP_md5(), bytes, len, out);
}

void digest_sha256(const void *bytes, size_t len, unsigned char out[static SHA256_SIZE])
{
    digest_any(EVP_sha256(), bytes, len, out);
}

void digest_hmac(const void *key, size_t key_len, const char *text,
                 unsigned char out[static SHA256_SIZE])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    if (HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), mac,
             NULL) == NULL)
        sim_die("libcrypto has no HMAC", ENOSYS);
    memcpy(out, mac, SHA256_SIZE);
}

void digest_hex(const unsigned char *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}
