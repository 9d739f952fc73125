#include "policy/retrieval.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

RetrievalEvidence good() { return {.covered = 1, .best_covers = 1, .unknown = 0, .pairs = 1, .lead = 0.5, .bridge = 0.5}; }

TEST(RetrievalConfidence, IsHighWhereOneSectionHasAllOfTheQuestion) { EXPECT_GT(retrieval_confidence(good()), 0.9); }

TEST(RetrievalConfidence, IsLowWhereTheCorpusDoesNotKnowTheWords) {
  RetrievalEvidence evidence = good();
  evidence.covered = evidence.best_covers = 0.2;
  evidence.unknown = 0.8;
  evidence.pairs = 0;
  EXPECT_LT(retrieval_confidence(evidence), 0.6);
  EXPECT_EQ(retrieval_confidence({}), 0) << "nothing was found";
}

TEST(RetrievalConfidence, IsAProbabilityThatNeverFallsWithMoreCoverage) {
  double before = 0;
  for (int i = 1; i <= 100; ++i) {
    RetrievalEvidence evidence = good();
    evidence.best_covers = evidence.covered = evidence.pairs = i / 100.0;
    evidence.unknown = 1 - i / 100.0;
    const double confidence = retrieval_confidence(evidence);
    EXPECT_TRUE(confidence >= before && confidence <= 1) << i;
    before = confidence;
  }
}

}  // namespace
}  // namespace troupe::policy
