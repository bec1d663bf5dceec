// Judgements as JSON and as SARIF 2.1.0 (OASIS), for `airr judge`.
//
// Pure functions of their arguments.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "replayer/judge.h"

namespace airr::tools {

nlohmann::json jsonOf(const Judgement& judgement);
nlohmann::json sarifOf(const std::vector<Judgement>& judgements);

}  // namespace airr::tools
