#include <set>

#include "tools/judge.h"
#include "tools/text.h"

namespace airr::tools {
namespace {

using nlohmann::json;

json verdictsOf(const std::array<uint64_t, 5>& counts) {
  json object = json::object();
  for (size_t i = 0; i < counts.size(); ++i)
    object[toString(static_cast<policies::Verdict>(i))] = counts[i];
  return object;
}

const char* levelOf(const JudgedChange& change) {
  if (change.counterfactual || change.undecidable) return "note";
  return change.after == policies::Verdict::kBlocked ? "error" : "warning";
}

// A file name as a URI reference (RFC 3986): what is not unreserved is escaped.
std::string uriOf(const std::string& path) {
  std::string uri;
  for (char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      uri += c;
    } else {
      constexpr char kDigits[] = "0123456789ABCDEF";
      uri += {'%', kDigits[static_cast<uint8_t>(c) >> 4], kDigits[static_cast<uint8_t>(c) & 15]};
    }
  }
  return uri;
}

}  // namespace

json jsonOf(const Judgement& judgement) {
  json changes = json::array();
  for (const JudgedChange& change : judgement.changes) {
    json rules = json::array();
    for (const auto& rule : change.rules) rules.push_back(jsonText(rule));
    changes.push_back({{"event", change.event},
                       {"process", change.process},
                       {"task", change.task},
                       {"action", jsonText(change.action)},
                       {"before", toString(change.before)},
                       {"after", toString(change.after)},
                       {"rules", rules},
                       {"reason", jsonText(change.reason)},
                       {"counterfactual", change.counterfactual},
                       {"undecidable", change.undecidable}});
  }
  json rules = json::array();
  for (const auto& [name, count] : judgement.rules)
    rules.push_back(
        {{"rule", jsonText(name)}, {"decided", count.decided}, {"changed", count.changed}});
  json object = {{"trace", jsonText(judgement.trace)},
                 {"sealed", judgement.sealed},
                 {"policy", {{"name", judgement.policyName}, {"sha256", judgement.policySha256}}},
                 {"events", judgement.events},
                 {"actions", judgement.actions},
                 {"derivedActions", judgement.derived},
                 {"blockedByFloor", judgement.byFloor},
                 {"before", verdictsOf(judgement.before)},
                 {"after", verdictsOf(judgement.after)},
                 {"newlyBlocked", judgement.newlyBlocked},
                 {"newlyAllowed", judgement.newlyAllowed},
                 {"otherwiseChanged", judgement.otherwise},
                 {"undecidable", judgement.undecidable},
                 {"changes", changes},
                 {"changesLeftOut", judgement.listed() - judgement.changes.size()},
                 {"rules", rules}};
  if (!judgement.againstName.empty()) object["against"] = judgement.againstName;
  if (!judgement.missing.empty()) object["missingFacts"] = judgement.missing;
  if (judgement.firstDivergence) object["firstDivergence"] = *judgement.firstDivergence;
  return object;
}

json sarifOf(const std::vector<Judgement>& judgements) {
  constexpr const char* kNoRule = "no-rule-matches";
  std::set<std::string> ids;
  json results = json::array();
  for (const Judgement& judgement : judgements) {
    for (const JudgedChange& change : judgement.changes) {
      const std::string id = change.rules.empty() ? kNoRule : change.rules[0];
      ids.insert(id);
      json result = {
          {"ruleId", printable(id)},
          {"level", levelOf(change)},
          {"message",
           {{"text", printable(std::string(toString(change.before)) + " -> " + change.reason +
                               "; " + change.action)}}},
          {"locations",
           {{{"physicalLocation", {{"artifactLocation", {{"uri", uriOf(judgement.trace)}}}}},
             {"logicalLocations",
              {{{"name", "event " + std::to_string(change.event)}, {"kind", "event"}}}}}}},
          {"properties",
           {{"event", change.event},
            {"process", change.process},
            {"task", change.task},
            {"before", toString(change.before)},
            {"after", toString(change.after)},
            {"counterfactual", change.counterfactual},
            {"undecidable", change.undecidable}}}};
      if (change.line != 0)
        result["relatedLocations"] = {
            {{"id", 1},
             {"message", {{"text", "the rule"}}},
             {"physicalLocation",
              {{"artifactLocation", {{"uri", uriOf(judgement.policyFile)}}},
               {"region", {{"startLine", change.line}}}}}}};
      results.push_back(result);
    }
  }
  json rules = json::array();
  for (const std::string& id : ids)
    rules.push_back({{"id", printable(id)}, {"shortDescription", {{"text", printable(id)}}}});
  return {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
          {"version", "2.1.0"},
          {"runs",
           {{{"tool",
              {{"driver", {{"name", "airr judge"}, {"version", AIRR_VERSION}, {"rules", rules}}}}},
             {"results", results}}}}};
}

}  // namespace airr::tools
