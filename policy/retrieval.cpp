#include "policy/retrieval.hpp"

#include <algorithm>
#include <array>

namespace troupe::policy {

namespace {

/// A point of the calibration: a score, and the share of searches with about this score that found everything.
struct Point {
  double score = 0;
  double probability = 0;
};

// Both printed by portfolio/training/calibrate_retrieval.py: the weights of a logistic regression, and an isotonic regression
// of what it makes of other searches. Between two points the probability is interpolated; outside it is that of the last.
double score_of(const RetrievalEvidence& e) {
  return -0.16 + 8.87 * e.best_covers - 2.66 * e.unknown + 2.74 * e.pairs + 1.75 * e.lead + 1.22 * e.bridge -
         7.44 * e.best_covers * e.bridge;
}
constexpr std::array calibration = {Point{-0.74, 0.307}, Point{0.26, 0.429}, Point{0.74, 0.544}, Point{1.24, 0.847},
                                    Point{1.74, 0.876},  Point{2.25, 0.952}, Point{3.29, 0.958}, Point{5.61, 0.991}};

}  // namespace

double retrieval_confidence(const RetrievalEvidence& evidence) {
  if (evidence.covered <= 0) return 0;  // nothing was found, or nothing of what was asked
  const double score = score_of(evidence);
  const auto above =
      std::find_if(calibration.begin(), calibration.end(), [&](const Point& point) { return score < point.score; });
  if (above == calibration.begin()) return calibration.front().probability;
  if (above == calibration.end()) return calibration.back().probability;
  const Point& below = *(above - 1);
  return below.probability + (above->probability - below.probability) * (score - below.score) / (above->score - below.score);
}

}  // namespace troupe::policy
