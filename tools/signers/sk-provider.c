/* A FIDO2 security key in software, for `ssh-keygen`: makes the fixtures without a device. Never ships.
 * Follows OpenSSH's PROTOCOL.u2f; the key handle is the private scalar itself, in clear. */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef SK_API_VERSION
#define SK_API_VERSION 0x000a0000
#endif

struct option;
struct resident_key;
struct enrolled {
    uint8_t flags;
    uint8_t *public_key; size_t public_key_len;
    uint8_t *key_handle; size_t key_handle_len;
    uint8_t *signature; size_t signature_len;
    uint8_t *attestation; size_t attestation_len;
    uint8_t *authdata; size_t authdata_len;
};
struct signed_data {
    uint8_t flags; uint32_t counter;
    uint8_t *r; size_t r_len;
    uint8_t *s; size_t s_len;
};

static uint8_t *copy(const void *from, size_t length) {
    uint8_t *to = calloc(1, length ? length : 1);
    if (to && length) memcpy(to, from, length);
    return to;
}

static uint8_t *number(const BIGNUM *value, size_t *length) {
    uint8_t *bytes = calloc(1, 32);
    *length = 32;
    BN_bn2binpad(value, bytes, 32);
    return bytes;
}

uint32_t sk_api_version(void) { return SK_API_VERSION; }

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
              const char *pin, struct option **options, struct enrolled **out) {
    if (alg != 0) return -2;
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    uint8_t point[65], scalar[32];
    EC_KEY_generate_key(key);
    EC_POINT_point2oct(EC_KEY_get0_group(key), EC_KEY_get0_public_key(key), POINT_CONVERSION_UNCOMPRESSED, point,
                       sizeof point, NULL);
    BN_bn2binpad(EC_KEY_get0_private_key(key), scalar, sizeof scalar);
    EC_KEY_free(key);
    struct enrolled *made = calloc(1, sizeof *made);
    made->flags = flags;
    made->public_key = copy(point, made->public_key_len = sizeof point);
    made->key_handle = copy(scalar, made->key_handle_len = sizeof scalar);
    made->signature = copy("", 0);
    made->attestation = copy("", 0);
    made->authdata = copy("", 0);
    *out = made;
    return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *handle,
            size_t handle_len, uint8_t flags, const char *pin, struct option **options, struct signed_data **out) {
    if (alg != 0 || handle_len != 32) return -2;
    static uint32_t counter;
    counter += 7;
    /* sha256(application) || flags || counter || sha256(data) */
    uint8_t message[69], digest[32];
    SHA256((const uint8_t *)application, strlen(application), message);
    uint8_t set = flags & 0x05;
    message[32] = set;
    for (int i = 0; i < 4; i++) message[33 + i] = (uint8_t)(counter >> (24 - 8 * i));
    SHA256(data, data_len, message + 37);
    SHA256(message, sizeof message, digest);

    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    BIGNUM *scalar = BN_bin2bn(handle, 32, NULL);
    EC_KEY_set_private_key(key, scalar);
    ECDSA_SIG *signature = ECDSA_do_sign(digest, sizeof digest, key);
    struct signed_data *made = calloc(1, sizeof *made);
    made->flags = set;
    made->counter = counter;
    made->r = number(ECDSA_SIG_get0_r(signature), &made->r_len);
    made->s = number(ECDSA_SIG_get0_s(signature), &made->s_len);
    ECDSA_SIG_free(signature);
    BN_free(scalar);
    EC_KEY_free(key);
    *out = made;
    return 0;
}

int sk_load_resident_keys(const char *pin, struct option **options, struct resident_key ***keys, size_t *count) {
    return -2;
}
