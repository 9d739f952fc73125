// How much a search is to be trusted: what can be seen of it, and the probability that it found all that an answer needs.
#pragma once

namespace troupe::policy {

/// What a search shows of its own success. Shares are of the question's content words, each weighed by its rarity; 0 to 1.
struct RetrievalEvidence {
  double covered = 0;      ///< by the found sections together
  double best_covers = 0;  ///< by the one that has most
  double unknown = 0;      ///< in no section of the corpus
  double pairs = 0;   ///< not of words, but of pairs of content words side by side: in the found sections; 1 if there are none
  double lead = 0;    ///< of the first section's score over the second's, as a share of the first's, times best_covers
  double bridge = 0;  ///< of what the first search's sentences say besides, how much the best section of the second has
  friend bool operator==(const RetrievalEvidence&, const RetrievalEvidence&) = default;
};

/// The probability that all sections which an answer needs are among those found, from 0 to 1. Calibrated on questions about
/// generated handbooks by portfolio/training/calibrate_retrieval.py, which also draws docs/retrieval-reliability.svg.
double retrieval_confidence(const RetrievalEvidence& evidence);

}  // namespace troupe::policy
