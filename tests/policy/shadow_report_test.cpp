#include "policy/shadow_report.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe::policy {
namespace {

ShadowRecord record_of(bool agree, bool client_sure, bool shadow_sure) {
  ShadowRecord record;
  record.experiment = "a";
  record.same_text = record.same_citations = record.same_values = agree;
  record.client.confident = client_sure;
  record.shadow.confident = shadow_sure;
  return record;
}

TEST(ShadowReport, CountsWhatBecameOfTurns) {
  ShadowReport report;
  report.add(record_of(true, true, true));
  ShadowRecord dropped;
  dropped.experiment = "a";
  dropped.fate = ShadowFate::dropped;
  dropped.why = "no room";
  report.add(dropped);
  report.add(dropped);
  ShadowRecord failed = dropped;
  failed.fate = ShadowFate::failed;
  failed.why = "no node serves heavy";
  report.add(failed);
  failed.experiment = "b";
  report.add(failed);
  const auto rows = report.rows();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].experiment, "a");
  EXPECT_EQ(rows[0].drawn, 4U);
  EXPECT_EQ(rows[0].compared, 1U);
  EXPECT_EQ(rows[0].failed, 1U);
  EXPECT_EQ(rows[0].dropped, 2U);
  EXPECT_EQ(rows[0].why_not.at("no room"), 2U);
  EXPECT_EQ(rows[1].drawn, 1U);
  EXPECT_EQ(rows[1].compared, 0U);
  EXPECT_EQ(rows[1].client.engine_p50_ms, 0) << "of nothing";
}

TEST(ShadowReport, SaysWhoWasSureWhereTheyDiffer) {
  ShadowReport report;
  report.add(record_of(true, false, false));
  report.add(record_of(false, true, true));
  report.add(record_of(false, true, false));
  report.add(record_of(false, false, true));
  report.add(record_of(false, false, true));
  ShadowRecord neither = record_of(false, false, false);
  neither.same_text = true;  // but other sources
  neither.client.failed_check = "cites nothing";
  report.add(neither);
  ShadowRecord both_failed = record_of(false, false, false);
  both_failed.client.failed_check = both_failed.shadow.failed_check = "cites nothing";
  report.add(both_failed);
  const ShadowRow row = report.rows().at(0);
  EXPECT_EQ(row.compared, 7U);
  EXPECT_EQ(row.agreed, 1U);
  EXPECT_EQ(row.same_text, 2U);
  EXPECT_EQ(row.both_confident, 1U);
  EXPECT_EQ(row.only_client_confident, 1U);
  EXPECT_EQ(row.only_shadow_confident, 2U);
  EXPECT_EQ(row.neither_confident, 2U);
  EXPECT_EQ(row.only_client_failed_check, 1U);
  EXPECT_EQ(row.only_shadow_failed_check, 0U);
  EXPECT_EQ(row.client.failed_checks, 2U);
  EXPECT_EQ(row.client.confident, 2U);
  EXPECT_EQ(row.shadow.confident, 3U);
}

TEST(ShadowReport, HasPercentilesByNearestRank) {
  ShadowReport report;
  for (int i = 100; i >= 1; --i) {
    ShadowRecord record = record_of(true, true, true);
    record.client.engine_ms = i;
    record.client.whole_ms = 10 * i;
    record.shadow.engine_ms = 7;
    record.client.cost = 0.5;
    record.shadow.computed = 3;
    report.add(record);
  }
  const ShadowRow row = report.rows().at(0);
  EXPECT_EQ(row.client.engine_p50_ms, 50);
  EXPECT_EQ(row.client.engine_p95_ms, 95);
  EXPECT_EQ(row.client.whole_p95_ms, 950);
  EXPECT_EQ(row.shadow.engine_p95_ms, 7);
  EXPECT_EQ(row.client.cost, 50);
  EXPECT_EQ(row.shadow.computed, 300);
}

TEST(ShadowReport, BoundsTheReasonsThatItTellsApart) {
  ShadowReport report;
  for (int i = 0; i < 100; ++i) {
    ShadowRecord record;
    record.fate = ShadowFate::failed;
    record.why = "reason " + std::to_string(i);
    report.add(record);
  }
  const ShadowRow row = report.rows().at(0);
  EXPECT_LE(row.why_not.size(), ShadowReport::reasons_max + 1);
  EXPECT_EQ(row.why_not.at("other reasons"), 100 - ShadowReport::reasons_max);
}

}  // namespace
}  // namespace troupe::policy
