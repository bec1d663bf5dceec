// The labelled corpus of tests/policies/corpus, in its two halves.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "policies/classify/classifier.h"
#include "policies/classify/yaml_tree.h"

namespace airr::classify {

struct Labelled {
  std::string shell;                   // or
  std::vector<std::string> arguments;  // argv
  ClassSet classes;

  std::string text() const {
    if (arguments.empty()) return shell;
    std::string joined;
    for (const std::string& argument : arguments) {
      if (!joined.empty()) joined += '\0';
      joined += argument;
    }
    return joined;
  }
  // Bit 32 of the FNV-1a hash of the text: no judgement decides which half an entry is in.
  bool heldOut() const {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text()) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return (hash >> 32 & 1) != 0;
  }
  Classification classify(const Classifier& classifier) const {
    return arguments.empty() ? classifier.classifyScript(shell)
                             : classifier.classify({arguments, {}, {}});
  }
};

inline std::vector<Labelled> loadCorpus(const std::filesystem::path& folder) {
  std::vector<Labelled> corpus;
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") files.insert(entry.path());
  }
  for (const std::filesystem::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    const Source source{path.filename().string(), {std::istreambuf_iterator<char>(file), {}}};
    for (const YamlNode& item : parseYaml(source).items) {
      Labelled labelled;
      for (const auto& [key, value] : item.entries()) {
        if (key.text == "shell") labelled.shell = value.text;
        for (const YamlNode& each : value.items) {
          if (key.text == "argv") labelled.arguments.push_back(each.text);
          if (key.text == "classes") labelled.classes.add(classByName(each.text).value());
        }
      }
      if (labelled.classes.empty() || labelled.text().empty()) {
        throw source.error(item.place, "an entry needs classes, and shell or argv");
      }
      corpus.push_back(std::move(labelled));
    }
  }
  return corpus;
}

// Right and wrong answers, by class.
struct Figures {
  struct Counts {
    size_t hits = 0, extra = 0, missed = 0;
    double precision() const { return hits + extra == 0 ? 1 : double(hits) / double(hits + extra); }
    double recall() const { return hits + missed == 0 ? 1 : double(hits) / double(hits + missed); }
  };
  Counts byClass[kClassNames.size()], all;
  size_t entries = 0, exact = 0;

  void add(ClassSet expected, ClassSet actual) {
    ++entries;
    if (expected == actual) ++exact;
    for (size_t i = 0; i < kClassNames.size(); ++i) {
      const bool is = expected.has(static_cast<Class>(i)), said = actual.has(static_cast<Class>(i));
      for (Counts* counts : {&byClass[i], &all}) {
        counts->hits += is && said ? 1 : 0;
        counts->extra += !is && said ? 1 : 0;
        counts->missed += is && !said ? 1 : 0;
      }
    }
  }
};

}  // namespace airr::classify
