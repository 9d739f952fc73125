#include "policy/early_stop.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "policy/routing_rule.hpp"

namespace troupe::policy {

namespace {

/// Of a probability, not 0, to about 1e-15: by the series of the inverse hyperbolic tangent, so that its bits depend on nothing
/// but the argument.
double natural_logarithm(double probability) {
  constexpr double of_two = 0.6931471805599453;
  constexpr int terms = 20;
  int halvings = 0;
  const double mantissa = std::frexp(probability, &halvings);  // from 1/2 up to 1
  const double argument = (mantissa - 1) / (mantissa + 1);
  double power = argument;
  double sum = 0;
  for (int term = 0; term < terms; ++term) {
    sum += power / (2 * term + 1);
    power *= argument * argument;
  }
  return 2 * sum + halvings * of_two;
}

}  // namespace

bool stopped_early(const AttemptResult& result) { return result.finish_reason == unsure_reason; }

std::string sentence_of_stop(const AttemptPlan& plan, const AttemptResult& result) {
  return "stopped after " + std::to_string(result.generated_tokens) + (result.generated_tokens == 1 ? " token" : " tokens") +
         ": can no longer reach " + shown(plan.confidence_min);
}

double raw_confidence_below(const Calibration& calibration, double right) {
  // Where two of its lines meet, `of` may round to a little more than just after; what it makes of a confidence counts as
  // enough already if it lacks no more than this.
  constexpr double rounding = 1e-9;
  constexpr int halvings = 64;
  const auto reaches = [&](double raw) { return calibration.of(raw) >= right - rounding; };
  double below = 0;
  double above = 1;
  if (reaches(below) || !reaches(above)) return 0;
  for (int i = 0; i < halvings; ++i) {
    const double middle = below + (above - below) / 2;
    (reaches(middle) ? above : below) = middle;
  }
  return below;
}

double least_log_probability_sum(const RoutingPolicy& policy, const AttemptPlan& plan) {
  constexpr double none = -std::numeric_limits<double>::infinity();
  const auto listens = [](const Rung& rung) { return rung.second_opinion; };
  const bool text_counts =
      !plan.held_back || plan.second_opinion || std::any_of(plan.escalation.begin(), plan.escalation.end(), listens);
  if (text_counts || plan.escalation.empty() || plan.model.remote()) return none;
  if (policy.contracts[place_of(Stage::reasoning)].fallback != Fallback::escalate) return none;
  const double raw = raw_confidence_below(policy.calibration[place_of(plan.tier)], plan.confidence_min);
  if (!(raw > 0)) return none;
  // An answer's confidence is the exponential, in float, of the sum: that is off by less than this.
  constexpr double rounding = 1e-4;
  return natural_logarithm(raw) * (1 + rounding) - rounding;
}

}  // namespace troupe::policy
