# What a redaction frame says (docs/trace-format.md): which blobs were taken out of a trace, or
# encrypted, by whom, when and why. It is signed by whoever did it.

@0xa7d3b0c1e5f24986;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("airr::schema");

using SealedKey = import "encryption.capnp".SealedKey;

struct Redaction {
  time @0 :Int64;                # CLOCK_REALTIME, nanoseconds since 1970
  by @1 :Text;                   # who, in their own words
  reason @2 :Text;
  publicKey @3 :Data;            # Ed25519 key that signs this
  blobs @4 :List(Removed);
  recipients @5 :List(SealedKey); # who can read what was encrypted

  struct Removed {
    blob @0 :UInt32;
    why @1 :Text;                # how it was chosen
    bodies @2 :List(Data);       # encrypted: the SHA-256 of each of its bodies as it is now
  }
}
