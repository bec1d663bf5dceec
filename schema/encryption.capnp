# A content key, sealed to each of those who may read what it encrypts (docs/trace-format.md).

@0xe3c95d1f7a20b864;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("airr::schema");

struct SealedKey {
  recipient @0 :Data;            # X25519 public key, 32 bytes
  ephemeral @1 :Data;            # X25519 public key, 32 bytes
  sealed @2 :Data;               # content key in AES-256-GCM, and its tag: 48 bytes
}
