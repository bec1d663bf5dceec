#include "recorder/guarded_places.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "recorder/blob_cache.h"
#include "recorder/http.h"
#include "recorder/keys.h"

namespace airr {

namespace {

std::string inDataHome(const std::string& rest) {
  for (const auto& [variable, data] :
       {std::pair("XDG_DATA_HOME", "/airr/"), std::pair("HOME", "/.local/share/airr/")}) {
    const char* base = std::getenv(variable);
    if (base != nullptr && *base == '/') return base + (data + rest);
  }
  return {};
}

}  // namespace

std::string approvalsPath() { return inDataHome("approvals"); }

std::string overlaysPath() { return inDataHome("overlays"); }

std::vector<GuardedPlace> guardedPlaces(const std::string& tracePath, const std::string& witness) {
  using Kind = GuardedPlace::Kind;
  auto absolute = [](const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal().string();
  };
  std::vector<GuardedPlace> places = {{Kind::kFile, absolute(tracePath), "the trace"}};
  const std::string key = absolute(KeyStore::defaultPath());
  places.push_back({Kind::kPrefix, key, "the key"});
  const std::string store = KeyStore::directoryOf(key);
  // A directory of airr's own; one that $AIRR_KEY_FILE names may have other things in it.
  if (std::filesystem::path(store).filename() == "airr") {
    places.push_back({Kind::kTree, store, "the key store"});
  }
  const char* passphrase = std::getenv("AIRR_PASSPHRASE_FILE");
  if (passphrase != nullptr && *passphrase != '\0') {
    places.push_back({Kind::kFile, absolute(passphrase), "the key's passphrase"});
  }
  if (!witness.empty() && !isUrl(witness)) {
    places.push_back({Kind::kFile, absolute(witness), "the witness"});
  }
  if (const std::string approvals = approvalsPath(); !approvals.empty()) {
    places.push_back({Kind::kTree, approvals, "the approvals"});
  }
  if (const std::string overlays = overlaysPath(); !overlays.empty()) {
    places.push_back({Kind::kTree, overlays, "the overlays"});
  }
  if (const std::string cache = BlobCache::defaultPath(); !cache.empty()) {
    places.push_back({Kind::kTree, absolute(cache), "the cache of contents"});
  }
  return places;
}

}  // namespace airr
