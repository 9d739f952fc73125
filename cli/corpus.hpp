// What the subcommands of `troupe corpus` share: whose corpus is meant, and how it is reached.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/command.hpp"
#include "policy/corpus_change.hpp"

namespace troupe::cli {

/// Another node of the cluster, with another corpus.
struct OtherCorpus {
  std::string node;
  std::string clients;  ///< its address for clients
};

/// The corpus of one node: in its data folder while the node does not run, through its door while it does.
class CorpusAccess {
 public:
  virtual ~CorpusAccess() = default;
  /// The node that answers; empty if none runs.
  virtual const std::string& node() const = 0;
  virtual Result<std::vector<policy::DocumentEntry>> documents() = 0;
  virtual Result<policy::SearchHits> search(const std::string& question, std::uint32_t limit) = 0;
  /// All of it or nothing. Shows progress.
  virtual Result<policy::CorpusView> change(policy::CorpusChange change) = 0;
  /// Nodes that have another corpus than this version; none if that is not known.
  virtual std::vector<OtherCorpus> others(const std::string& version) = 0;
};

/// Whose corpus is meant.
struct CorpusChoice {
  std::string folder;  ///< data folder; empty: that of `node`
  std::string node = "node-7500";
  std::string connect;  ///< address of a running node; empty: that of the data folder

  void add_to(CLI::App& command);
  /// `not_found` if no node has used the folder yet; `unavailable` while one does that has not left its address there.
  Result<std::unique_ptr<CorpusAccess>> open() const;
};

/// Documents that belong to no node.
struct OpenDocuments {
  std::unique_ptr<CorpusAccess> corpus;
  std::vector<std::string> refused;  ///< why, each with its file, which the corpus does without
};
/// Of a file, or of a folder.
Result<OpenDocuments> open_documents(const std::string& path);

/// On the error stream, a line each.
void tell_refused(const std::vector<std::string>& refused);

/// Adds to the subcommand `corpus`.
void add_corpus_search(CLI::App& corpus, Action& action);

}  // namespace troupe::cli
