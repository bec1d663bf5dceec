// The stock policies, which are part of the program: their names work wherever it runs.
//
// Constant data; any thread; nothing fails.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace airr::policies {

struct StockPolicy {
  std::string_view name, text;
  std::string_view tree;  // the text's, by packYaml()
};

std::span<const StockPolicy> stockPolicies();

// The text of one.
std::optional<std::string_view> stockPolicy(std::string_view name);
std::vector<std::string_view> stockPolicyNames();

}  // namespace airr::policies
