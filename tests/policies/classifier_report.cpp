// Prints how well the built-in rules classify the labelled corpus: figures for both halves, or,
// with
// --mistakes, the mistakes on the tuning half alone. Those on the held-out half are not shown, so
// that no rule is written for them.
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

int report(const char* folder, bool mistakes) {
  const Classifier classifier;
  Figures tuning, heldOut;
  for (const Labelled& labelled : loadCorpus(folder)) {
    const Classification result = labelled.classify(classifier);
    if (labelled.heldOut()) {
      heldOut.add(labelled.classes, result.classes);
      continue;
    }
    tuning.add(labelled.classes, result.classes);
    if (!mistakes || result.classes == labelled.classes) continue;
    std::string text = labelled.text();
    for (char& c : text) {
      if (c == '\0') c = ' ';
    }
    std::printf("%s\n  expected %s\n  got      %s\n", text.c_str(), labelled.classes.text().c_str(),
                result.classes.text().c_str());
    for (const Signal& signal : result.why) {
      std::printf("    %s: %s (%s)\n", signal.classes.text().c_str(), signal.rule.c_str(),
                  signal.words.c_str());
    }
  }
  print("tuning half", tuning);
  if (!mistakes) print("held-out half", heldOut);
  return 0;
}

}  // namespace
}  // namespace airr::classify

int main(int argc, char** argv) {
  const bool mistakes = argc > 1 && std::strcmp(argv[1], "--mistakes") == 0;
  try {
    return airr::classify::report(argc > (mistakes ? 2 : 1) ? argv[argc - 1] : AIRR_CORPUS,
                                  mistakes);
  } catch (const airr::Error& error) {
    std::fprintf(stderr, "classifier_report: %s. %s\n", error.what(), error.remedy().c_str());
    return 1;
  }
}
