#include "policies/stock.h"

#include <algorithm>

namespace airr::policies {

std::optional<std::string_view> stockPolicy(std::string_view name) {
  const auto found = std::ranges::find(stockPolicies(), name, &StockPolicy::name);
  if (found == stockPolicies().end()) return std::nullopt;
  return found->text;
}

std::vector<std::string_view> stockPolicyNames() {
  std::vector<std::string_view> names;
  for (const StockPolicy& policy : stockPolicies()) names.push_back(policy.name);
  return names;
}

}  // namespace airr::policies
