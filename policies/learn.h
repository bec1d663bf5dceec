// Proposes a policy from actions that were seen: what they were, no more than that, but with
// directories of which many entries were used taken whole.
//
// Owns what it has seen, within bounds. One thread. add() and text() fail only for want of memory.
// The proposal is a beginning: a human reads it before anything is run under it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policies/bindings.h"
#include "policies/facts.h"

namespace airr::policies {

class Learner {
 public:
  // Actions of kinds that carry no facts worth a distinction are learned as a kind.
  void add(const Action& action);
  // The policy, laid out. It parses, and allows everything that was added.
  std::string text(const std::string& name, const Bindings& bindings) const;
  size_t leftOut() const { return leftOut_; }  // actions that were too many to remember

 private:
  static constexpr size_t kMaxPaths = 200'000;
  struct Node {
    std::map<std::string, Node, std::less<>> children;
    bool used = false;
  };
  struct Endpoint {
    std::string name;  // host name or address
    uint16_t port;
    auto operator<=>(const Endpoint&) const = default;
  };

  static void collapse(const Node& node, const std::string& path, size_t depth, size_t most,
                       std::vector<std::string>& trees, std::vector<std::string>& files);

  std::map<unsigned, Node> paths_;  // by group of kinds
  size_t remembered_ = 0, leftOut_ = 0;
  ActionSet plain_ = 0;
  std::set<Endpoint> named_, numbered_;
  std::set<std::string> sockets_;  // paths of unix sockets
  ActionSet network_ = 0;
  uint8_t families_ = 0;
  bool insideOnly_ = true;
};

}  // namespace airr::policies
