// What the subcommands of `troupe corpus` share: where the corpus is.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/command.hpp"
#include "storage/corpus.hpp"
#include "storage/rocks_store.hpp"

namespace troupe::cli {

/// The data folder of a node that is not running.
struct DataChoice {
  std::string folder;  ///< empty: that of `node`
  std::string node = "node-7500";

  void add_to(CLI::App& command);
  /// `not_found` if no node has used it yet; `unavailable` while one does.
  Result<std::unique_ptr<storage::RocksStore>> open() const;
};

/// A corpus to search: that of a data folder, or documents that belong to no node.
struct CorpusChoice {
  DataChoice data;
  std::string documents;

  void add_to(CLI::App& command);
  Result<storage::Corpus> load() const;
};

/// Adds to the subcommand `corpus`.
void add_corpus_search(CLI::App& corpus, Action& action);

}  // namespace troupe::cli
