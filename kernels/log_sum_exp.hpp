// What every choice of a token starts from: for each row of logits the best token (equal logits: the lower id), its logit,
// and log(sum(exp(logits))), so that the log-probability of token t is logits[t] - log_sum_exp.
//   log_sum_exp = max + log(sum of exp(x - max)), the sum in sixteen lanes (lane l takes ids l, l + 16, ...) and rms_norm's
//   tree.
// A NaN never wins, and a row with one gets a NaN for its log_sum_exp; a row of NaN alone has best 0 and max -infinity.
// Where the max is infinite, so is the log_sum_exp.
#pragma once

#include "kernels/device.hpp"

namespace troupe::kernels {

struct LogitSummary {
  std::int32_t best = 0;
  float max = 0;
  float log_sum_exp = 0;
};

struct LogSumExp {
  const float* logits = nullptr;    ///< [rows, vocabulary]
  LogitSummary* summary = nullptr;  ///< [rows]
  std::int32_t rows = 0;
  std::int32_t vocabulary = 0;
};

void log_sum_exp(Stream& stream, const LogSumExp& arguments);

}  // namespace troupe::kernels
