#include "model/checkpoint.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/weights.hpp"
#include "tests/support/safetensors_writer.hpp"
#include "tests/support/small_checkpoint.hpp"

namespace troupe::model {
namespace {

namespace fs = std::filesystem;
using tests::expect_refused;
using tests::SmallCheckpoint;
using tests::TensorToWrite;

/// The small model in two files, and the index that belongs to them.
nlohmann::json write_shards(SmallCheckpoint& small) {
  nlohmann::json index = {{"metadata", {{"total_size", 1}}}, {"weight_map", nlohmann::json::object()}};
  const std::size_t half = small.tensors.size() / 2;
  const std::vector<TensorToWrite> parts[2] = {
      {small.tensors.begin(), small.tensors.begin() + static_cast<std::ptrdiff_t>(half)},
      {small.tensors.begin() + static_cast<std::ptrdiff_t>(half), small.tensors.end()}};
  for (int part = 0; part < 2; ++part) {
    const std::string name = "model-0000" + std::to_string(part + 1) + "-of-00002.safetensors";
    tests::write_file(small.folder.path() / name, tests::safetensors_bytes(parts[part]));
    for (const auto& tensor : parts[part]) index["weight_map"][tensor.name] = name;
  }
  return index;
}

Result<Weights> load_with_index(SmallCheckpoint& small, const nlohmann::json& index) {
  tests::write_file(small.folder.path() / "model.safetensors.index.json", index.dump());
  return Weights::load(small.folder.path(), small.config, small.device);
}

TEST(ShardedWeights, EqualThoseOfOneFile) {
  SmallCheckpoint small;
  const auto one = small.load();
  ASSERT_TRUE(one);
  fs::remove(small.folder.path() / "model.safetensors");
  const auto sharded = load_with_index(small, write_shards(small));
  ASSERT_TRUE(sharded) << sharded.error().message;
  ASSERT_EQ(sharded->bytes(), one->bytes());
  EXPECT_EQ(std::memcmp(sharded->embedding().data, one->embedding().data, one->bytes()), 0);
}

TEST(ShardedWeights, StayInTheirFolder) {
  SmallCheckpoint small;
  const auto index = write_shards(small);
  for (const char* name : {"../model-00001-of-00002.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "", "..",
                           ".safetensors", "model.bin"}) {
    auto wrong = index;
    wrong["weight_map"]["model.norm.weight"] = name;
    expect_refused(load_with_index(small, wrong), ErrorCode::invalid_argument, {"weight_map.model.norm.weight", "same folder"});
  }
}

TEST(ShardedWeights, AgreeWithTheirIndex) {
  SmallCheckpoint small;
  const auto index = write_shards(small);
  auto wrong = index;
  wrong["weight_map"].erase("model.norm.weight");
  expect_refused(load_with_index(small, wrong), ErrorCode::corrupt, {"model.norm.weight", "does not name"});
  wrong = index;
  wrong["weight_map"]["model.norm.weight"] = index["weight_map"]["model.embed_tokens.weight"];
  expect_refused(load_with_index(small, wrong), ErrorCode::corrupt, {"model.norm.weight", "elsewhere"});
  wrong = index;
  wrong["weight_map"]["model.extra.weight"] = index["weight_map"]["model.norm.weight"];
  expect_refused(load_with_index(small, wrong), ErrorCode::corrupt, {"model.extra.weight", "lacks it"});
  wrong = index;
  wrong["weight_map"]["model.norm.weight"] = "model-00003-of-00002.safetensors";
  expect_refused(load_with_index(small, wrong), ErrorCode::corrupt, {"model.norm.weight", "elsewhere"});
  fs::remove(small.folder.path() / "model-00002-of-00002.safetensors");
  expect_refused(load_with_index(small, index), ErrorCode::not_found, {"model-00002-of-00002.safetensors"});
}

TEST(ShardedWeights, NeedAnIndexThatSaysSomething) {
  SmallCheckpoint small;
  expect_refused(Weights::load(small.folder.path(), small.config, small.device), ErrorCode::not_found,
                 {"model.safetensors", "model.safetensors.index.json"});
  expect_refused(load_with_index(small, nlohmann::json::object()), ErrorCode::not_found, {"weight_map"});
  expect_refused(load_with_index(small, {{"weight_map", nlohmann::json::object()}}), ErrorCode::invalid_argument,
                 {"weight_map"});
  expect_refused(load_with_index(small, {{"weight_map", {{"a", 3}}}}), ErrorCode::invalid_argument, {"weight_map.a"});
}

}  // namespace
}  // namespace troupe::model
