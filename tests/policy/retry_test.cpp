#include "policy/retry.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr Duration hour = std::chrono::hours(1);

TEST(Retry, WaitsTwiceAsLongEachTimeUpToALimit) {
  EXPECT_EQ(wait_before_retry(0, {}, 0, hour), milliseconds(500));
  EXPECT_EQ(wait_before_retry(1, {}, 0, hour), seconds(1));
  EXPECT_EQ(wait_before_retry(4, {}, 0, hour), seconds(8));
  EXPECT_EQ(wait_before_retry(100, {}, 0, hour), seconds(8));
  EXPECT_EQ(wait_before_retry(1, {}, 0.5, hour), milliseconds(750));
}

TEST(Retry, WaitsAsLongAsTheServerSaysUnlessThatIsTooLong) {
  EXPECT_EQ(wait_before_retry(3, seconds(2), 0, hour), seconds(2));
  EXPECT_EQ(wait_before_retry(0, seconds(60), 0, hour), seconds(60));
  EXPECT_FALSE(wait_before_retry(0, seconds(61), 0, hour));
  EXPECT_FALSE(wait_before_retry(0, seconds(2), 0, seconds(2))) << "nothing would be left for the answer";
  EXPECT_FALSE(wait_before_retry(0, {}, 0, milliseconds(500)));
}

TEST(Retry, SpendsNoMoreThanItsBudget) {
  RetryBudget budget;
  int spent = 0;
  while (budget.spend()) ++spent;
  EXPECT_EQ(spent, 10);
  for (int i = 0; i < 4; ++i) budget.earn();
  EXPECT_FALSE(budget.spend());
  for (int i = 0; i < 2; ++i) budget.earn();
  EXPECT_TRUE(budget.spend());
  for (int i = 0; i < 1000; ++i) budget.earn();
  EXPECT_EQ(budget.left(), RetryBudget::retries_at_first);
}

TEST(Retry, IsForWhatMayPass) {
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 529}) EXPECT_TRUE(may_pass(status)) << status;
  for (const int status : {200, 301, 400, 401, 403, 404, 413, 422, 501, 505}) EXPECT_FALSE(may_pass(status)) << status;
}

}  // namespace
}  // namespace troupe::policy
