#include "storage/rocks_store.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/full_disk.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::storage {
namespace {

WriteBatch batch(const std::string& key, const std::string& value, std::uint64_t epoch = 1) {
  return {.puts = {{.column = Column::conversations, .key = key, .value = value}},
          .fence = Fence{.column = Column::leases, .key = "fence", .epoch = epoch}};
}

Result<void> write(Store& store, const std::string& key, const std::string& value, std::uint64_t epoch = 1) {
  return store.write({batch(key, value, epoch)}).front();
}

std::optional<std::string> get(const Store& store, const std::string& key) {
  return store.get(Column::conversations, key).value();
}

void expect_refused(const std::filesystem::path& folder, ErrorCode code, const std::vector<std::string>& words) {
  const auto store = RocksStore::open(folder);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, code) << store.error().message;
  for (const auto& word : words) EXPECT_NE(store.error().message.find(word), std::string::npos) << store.error().message;
}

TEST(RocksStore, IsThereAgainAfterItWasClosed) {
  const tests::TemporaryFolder folder;
  const auto place = folder.path() / "made" / "by it";
  {
    const auto store = RocksStore::open(place).value();
    ASSERT_TRUE(write(*store, "a", "1", 4));
  }
  const auto store = RocksStore::open(place).value();
  EXPECT_EQ(get(*store, "a"), "1");
  EXPECT_FALSE(write(*store, "a", "2", 3)) << "fences are remembered";
  EXPECT_TRUE(write(*store, "a", "2", 4));
}

TEST(RocksStore, HasEverythingOnTheDiskWhenAWriteReturns) {
  const tests::TemporaryFolder folder;
  const auto copy = folder.path() / "copy";
  const auto store = RocksStore::open(folder.path() / "data").value();
  ASSERT_TRUE(write(*store, "a", "1"));
  std::filesystem::copy(folder.path() / "data", copy, std::filesystem::copy_options::recursive);
  const auto copied = RocksStore::open(copy);
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_EQ(get(**copied, "a"), "1") << "what a killed process leaves behind is enough";
}

TEST(RocksStore, MakesAFolderForItsOwnerAloneAndLeavesThoseThatAreThere) {
  using std::filesystem::perms;
  const tests::TemporaryFolder folder;
  const auto permissions = [](const std::filesystem::path& path) { return std::filesystem::status(path).permissions(); };
  ASSERT_TRUE(RocksStore::open(folder.path() / "made"));
  EXPECT_EQ(permissions(folder.path() / "made"), perms::owner_all);
  std::filesystem::create_directory(folder.path() / "there");
  std::filesystem::permissions(folder.path() / "there", perms::owner_all | perms::group_read);
  ASSERT_TRUE(RocksStore::open(folder.path() / "there"));
  EXPECT_EQ(permissions(folder.path() / "there"), perms::owner_all | perms::group_read);
}

TEST(RocksStore, RefusesAFolderThatIsInUse) {
  const tests::TemporaryFolder folder;
  const auto store = RocksStore::open(folder.path()).value();
  expect_refused(folder.path(), ErrorCode::unavailable, {folder.path().string(), "in use", "stop that one"});
  EXPECT_TRUE(write(*store, "a", "1")) << "the first is not disturbed";
}

TEST(RocksStore, RefusesWhatIsNoFolder) {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "block";  // a name with "lock" in it says nothing about locks
  std::ofstream(file) << "text";
  expect_refused(file, ErrorCode::invalid_argument, {file.string(), "not a folder"});
  expect_refused(file / "below", ErrorCode::io, {(file / "below").string()});
}

TEST(RocksStore, RefusesADamagedFolder) {
  const tests::TemporaryFolder folder;
  {
    ASSERT_TRUE(write(*RocksStore::open(folder.path()).value(), "a", "1"));
  }
  std::ofstream(folder.path() / "CURRENT") << "MANIFEST-999999\n";
  expect_refused(folder.path(), ErrorCode::corrupt, {folder.path().string(), "MANIFEST-999999", "copy"});
  std::ofstream(folder.path() / "CURRENT") << "nonsense";
  expect_refused(folder.path(), ErrorCode::corrupt, {folder.path().string(), "copy"});
}

TEST(RocksStore, RefusesAFolderOfSomebodyElsesFiles) {
  const tests::TemporaryFolder folder;
  for (const char* name : {"notes.txt", "b", "c", "d"}) std::ofstream(folder.path() / name) << "mine";
  expect_refused(folder.path(), ErrorCode::invalid_argument, {folder.path().string(), "b, c, d, ...", "empty"});
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 4) << "nothing was written there";
}

TEST(RocksStore, BeginsWhereAFirstStartWasKilledAndOnADiskOfItsOwn) {
  const tests::TemporaryFolder folder;
  for (const char* name : {"LOCK", "IDENTITY", "MANIFEST-000001", "000001.dbtmp"}) std::ofstream(folder.path() / name) << "";
  std::filesystem::create_directory(folder.path() / "lost+found");
  const auto store = RocksStore::open(folder.path());
  ASSERT_TRUE(store) << store.error().message;
}

TEST(RocksStore, StartsWithoutTheEndOfALogThatAPowerCutTore) {
  const tests::TemporaryFolder folder;
  const auto copy = folder.path() / "copy";
  {
    const auto store = RocksStore::open(folder.path() / "data").value();
    ASSERT_TRUE(write(*store, "a", "1"));
    ASSERT_TRUE(write(*store, "b", std::string(1000, 'b')));
    std::filesystem::copy(folder.path() / "data", copy, std::filesystem::copy_options::recursive);
  }
  for (const auto& entry : std::filesystem::directory_iterator(copy)) {
    if (entry.path().extension() == ".log" && entry.file_size() > 0) {
      std::filesystem::resize_file(entry.path(), entry.file_size() - 500);
    }
  }
  const auto store = RocksStore::open(copy);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(get(**store, "a"), "1");
  EXPECT_EQ(get(**store, "b"), std::nullopt);
}

TEST(RocksStore, RefusesALogThatIsDamagedBeforeItsEnd) {
  const tests::TemporaryFolder folder;
  const auto copy = folder.path() / "copy";
  {
    const auto store = RocksStore::open(folder.path() / "data").value();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(write(*store, std::to_string(i), std::string(1000, 'x')));
    std::filesystem::copy(folder.path() / "data", copy, std::filesystem::copy_options::recursive);  // as a kill leaves it
  }
  for (const auto& entry : std::filesystem::directory_iterator(copy)) {
    if (entry.path().extension() != ".log" || entry.file_size() == 0) continue;
    std::fstream log(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    log.seekp(static_cast<std::streamoff>(entry.file_size() / 2));
    log << "damage";
  }
  expect_refused(copy, ErrorCode::corrupt, {copy.string(), "copy"});
}

TEST(RocksStore, LeavesNothingInItsLogsWhenItIsClosed) {
  const tests::TemporaryFolder folder;
  {
    ASSERT_TRUE(write(*RocksStore::open(folder.path()).value(), "a", "1"));
  }
  std::vector<std::filesystem::path> logs;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    if (entry.path().extension() == ".log" && entry.file_size() > 0) logs.push_back(entry.path());
  EXPECT_TRUE(logs.empty()) << logs.front();
  const auto store = RocksStore::open(folder.path());
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(get(**store, "a"), "1");
}

TEST(RocksStore, FailsWritesOnAFullDiskAndGoesOnWhenThereIsRoom) {
  const tests::TemporaryFolder folder;
  const auto store = RocksStore::open(folder.path()).value();
  ASSERT_TRUE(write(*store, "before", "1"));
  {
    const tests::FullDisk full(std::uintmax_t{64} << 10);
    const auto results = store->write({batch("large", std::string(1 << 20, 'x')), batch("beside", "1"), batch("late", "1", 0)});
    ASSERT_FALSE(results[0]);
    EXPECT_EQ(results[0].error().code, ErrorCode::io) << results[0].error().message;
    EXPECT_NE(results[0].error().message.find(folder.path().string()), std::string::npos) << results[0].error().message;
    ASSERT_FALSE(results[1]) << "they are one write";
    EXPECT_EQ(results[1].error().code, ErrorCode::io);
    EXPECT_EQ(results[2].error().code, ErrorCode::unavailable) << "the fence had refused it before";
    EXPECT_EQ(get(*store, "before"), "1") << "reading goes on";
    EXPECT_FALSE(write(*store, "larger", std::string(2 << 20, 'x'))) << "still full";
  }
  const auto after = write(*store, "after", "1");
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(get(*store, "before"), "1");
  EXPECT_EQ(get(*store, "after"), "1");
  EXPECT_TRUE(write(*store, "large", std::string(1 << 20, 'x')));
}

TEST(RocksStore, OutlivesADiskWithoutAByteLeft) {
  // RocksDB's own log could not be written either, and its second message after that ended the process.
  const tests::TemporaryFolder folder;
  const tests::TemporaryFolder another;
  auto store = RocksStore::open(folder.path()).value();
  ASSERT_TRUE(write(*store, "before", "1"));
  {
    const tests::FullDisk full(0);
    for (int i = 0; i < 4; ++i) {
      const auto refused = write(*store, "during", "1");
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, ErrorCode::io) << refused.error().message;
      EXPECT_EQ(get(*store, "before"), "1") << "reading goes on";
    }
    expect_refused(another.path(), ErrorCode::io, {another.path().string(), "see that the disk has room"});
  }
  const auto after = write(*store, "after", "1");
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(get(*store, "before"), "1");
  store.reset();
  EXPECT_EQ(get(**RocksStore::open(folder.path()), "after"), "1");
  EXPECT_TRUE(RocksStore::open(another.path()));
}

TEST(RocksStore, IsReadWhileOthersWrite) {
  const tests::TemporaryFolder folder;
  const auto store = RocksStore::open(folder.path()).value();
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&, writer] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(write(*store, std::to_string(writer) + "/" + std::to_string(i), "x"));
        EXPECT_TRUE(store->scan(Column::conversations, "", "", 5));
      }
    });
  }
  for (auto& writer : writers) writer.join();
  EXPECT_EQ(store->scan(Column::conversations, "", "", 100).value().size(), 60U);
}

}  // namespace
}  // namespace troupe::storage
