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
  return -0.86 + 6.84 * e.best_covers - 2.16 * e.unknown + 2.55 * e.pairs + 3.22 * e.lead + 0.78 * e.bridge -
         3.35 * e.best_covers * e.bridge;
}
constexpr std::array calibration = {Point{-3.02, 0.000}, Point{-1.25, 0.137}, Point{-0.48, 0.332}, Point{0.26, 0.469},
                                    Point{0.74, 0.803},  Point{1.53, 0.849},  Point{2.26, 0.919},  Point{2.76, 0.936},
                                    Point{3.48, 0.958},  Point{5.74, 0.987}};

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
