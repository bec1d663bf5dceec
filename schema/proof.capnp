# A proof of one event (docs/evidence.md): what a verifier needs who has the public key, and nothing
# else of the trace. replayer/event_proof.h checks it; docs/trace-format.md defines what is hashed.

@0xd41c02f6f6a0cb53;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("airr::schema");

struct Proof {
  fileHeader @0 :Data;           # prefix and header message of the trace
  tag @1 :Data;                  # of the file header
  signature @2 :Data;            # of the file header
  checkpoints @3 :List(Signed);  # from the header's keys to the one that ends the event's epoch
  frame @4 :Frame;
}

# A checkpoint, or the seal.
struct Signed {
  header @0 :Data;               # frame header, 80 bytes
  tagBefore @1 :Data;            # of the frame before
  body @2 :Data;
  signature @3 :Data;
}

# The events frame.
struct Frame {
  header @0 :Data;
  tagBefore @1 :Data;
  directory @2 :Data;            # digests of its leaves
  body @3 :Data;                 # SHA-256 of its body
  index @4 :UInt64;              # in its epoch
  path @5 :List(Data);           # each level's other children, 32 bytes each
  leaf @6 :UInt32;               # which leaf has the event
  events @7 :Data;               # the leaf: messages in stream framing
  event @8 :UInt32;              # which of them
  salt @9 :Data;                 # of the leaf, if the trace's events are encrypted
}
