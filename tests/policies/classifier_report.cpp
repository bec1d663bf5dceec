// Prints how well the built-in rules classify the labelled corpus: figures for both halves and for
// the field set; or, with --mistakes, the mistakes on the tuning half alone. The others are not
// shown, so that no rule is written for them.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "schema/error.h"
#include "tests/policies/corpus.h"

namespace airr::classify {
namespace {

void print(const char* name, const Figures& figures) {
  std::printf("%s: %zu entries, %zu with exactly the right classes (%.1f %%)\n", name,
              figures.entries, figures.exact,
              100.0 * double(figures.exact) / double(figures.entries));
  std::printf("  %-18s %9s %9s %7s %6s %6s\n", "class", "precision", "recall", "hits", "extra",
              "missed");
  auto line = [](const char* label, const Figures::Counts& counts) {
    std::printf("  %-18s %9.3f %9.3f %7zu %6zu %6zu\n", label, counts.precision(), counts.recall(),
                counts.hits, counts.extra, counts.missed);
  };
  for (size_t i = 0; i < kClassNames.size(); ++i) {
    line(kClassNames[i].data(), figures.byClass[i]);
  }
  line("all (micro)", figures.all);
}

int report(bool mistakes) {
  const Classifier classifier;
  Figures tuning, heldOut, field;
  for (const Labelled& labelled : loadCorpus(AIRR_CORPUS)) {
    const Classification result = labelled.classify(classifier);
    (labelled.heldOut() ? heldOut : tuning).add(labelled.classes, result.classes);
    if (!mistakes || labelled.heldOut() || result.classes == labelled.classes) continue;
    std::string text = labelled.text();
    std::replace(text.begin(), text.end(), '\0', ' ');
    std::printf("%s\n  expected %s\n  got      %s\n", text.c_str(), labelled.classes.text().c_str(),
                result.classes.text().c_str());
    for (const Signal& signal : result.why) {
      std::printf("    %s: %s (%s)\n", signal.classes.text().c_str(), signal.rule.c_str(),
                  signal.words.c_str());
    }
  }
  print("tuning half", tuning);
  if (mistakes) return 0;
  print("held-out half", heldOut);
  for (const Labelled& labelled : loadCorpus(AIRR_FIELD)) {
    field.add(labelled.classes, labelled.classify(classifier).classes);
  }
  print("field", field);
  return 0;
}

}  // namespace
}  // namespace airr::classify

int main(int argc, char** argv) {
  const bool mistakes = argc > 1 && std::strcmp(argv[1], "--mistakes") == 0;
  try {
    return airr::classify::report(mistakes);
  } catch (const airr::Error& error) {
    std::fprintf(stderr, "classifier_report: %s. %s\n", error.what(), error.remedy().c_str());
    return 1;
  }
}
