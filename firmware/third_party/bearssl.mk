# The part of BearSSL that checks an ECDSA P-256 signature over SHA-256 and computes HMAC-SHA256, below its src/.
BEARSSL_SOURCES := codec/ccopy codec/dec32be codec/enc32be codec/dec64be codec/enc64be \
	ec/ec_p256_m31 ec/ec_secp256r1 ec/ec_secp384r1 ec/ec_secp521r1 ec/ecdsa_atr ec/ecdsa_i31_bits ec/ecdsa_i31_vrfy_asn1 ec/ecdsa_i31_vrfy_raw \
	hash/sha2small mac/hmac \
	int/i31_add int/i31_bitlen int/i31_decmod int/i31_decode int/i31_decred int/i31_encode int/i31_fmont int/i31_iszero \
	int/i31_moddiv int/i31_modpow int/i31_modpow2 int/i31_montmul int/i31_mulacc int/i31_muladd int/i31_ninv31 \
	int/i31_reduce int/i31_rshift int/i31_sub int/i31_tmont int/i32_div32
