// The keys of a trace's epochs. An epoch is the frames between two checkpoints; each has an HMAC
// key, made from the one before, and a signing key, drawn at random and certified by an earlier
// one. Both are erased when the epoch ends, so that who takes the keys of the current epoch out of
// the mediator's memory can alter no earlier one unseen.
//
// Ownership: each object owns its keys and erases them. Not thread-safe.
// Failure: Error (kFailure) if OpenSSL or the kernel's randomness fails.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "recorder/digest.h"
#include "recorder/signing.h"
#include "recorder/system.h"

namespace airr {

// HMAC keys: key k+1 = HMAC(key k, "airr next epoch v2").
class EpochKey {
 public:
  explicit EpochKey(const Digest& first) : key_(first), hmac_(first) {}
  EpochKey(const EpochKey& other) : key_(other.key_), hmac_(other.key_) {}
  EpochKey& operator=(const EpochKey& other);
  ~EpochKey();

  // The tag of a frame, or of the file header.
  Digest tag(const Digest& frame) { return hmac_.tag({frame}); }
  void advance();

 private:
  Digest key_;
  Hmac hmac_;
};

// The epochs whose signing keys the checkpoint of `epoch` certifies: the next; of a multiple of 16
// also the next such; of a multiple of 256 also the next of these. The key of epoch 0 is certified
// by the file header. So n/256 + 30 certificates at most lead from the header to epoch n.
std::vector<uint64_t> certifiedBy(uint64_t epoch);
// The first of those that certify an epoch's key; of any but 0.
uint64_t certifierOf(uint64_t epoch);

class EpochSigners {
 public:
  explicit EpochSigners(System& system) : system_(system) {}

  // The public keys of these epochs. Keys that do not exist yet are made.
  std::vector<PublicKey> certify(const std::vector<uint64_t>& epochs);
  // Signs with the epoch's key, which must have been certified, and erases it.
  Signature sign(uint64_t epoch, Bytes message);

 private:
  System& system_;
  std::map<uint64_t, std::unique_ptr<SigningKey>> keys_;
};

}  // namespace airr
