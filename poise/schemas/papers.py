"""The papers that introduced the datasets, as MMPose's metadata files cite them."""

from __future__ import annotations

from typing import Any

__all__ = ["paper_info"]

_FIELDS = ("author", "title", "container", "year", "homepage")

_PAPERS: dict[str, tuple[str, str, str, str, str]] = {
    "coco": (
        (
            "Lin, Tsung-Yi and Maire, Michael and Belongie, Serge and Hays, James and Perona, "
            "Pietro and Ramanan, Deva and Doll{\\'a}r, Piotr and Zitnick, C Lawrence"
        ),
        "Microsoft coco: Common objects in context",
        "European conference on computer vision",
        "2014",
        "http://cocodataset.org/",
    ),
    "300w": (
        (
            "Sagonas, Christos and Antonakos, Epameinondas and Tzimiropoulos, Georgios and "
            "Zafeiriou, Stefanos and Pantic, Maja"
        ),
        "300 faces in-the-wild challenge: Database and results",
        "Image and vision computing",
        "2016",
        "https://ibug.doc.ic.ac.uk/resources/300-W/",
    ),
    "coco_wholebody": (
        (
            "Jin, Sheng and Xu, Lumin and Xu, Jin and Wang, Can and Liu, Wentao and Qian, Chen "
            "and Ouyang, Wanli and Luo, Ping"
        ),
        "Whole-Body Human Pose Estimation in the Wild",
        "Proceedings of the European Conference on Computer Vision (ECCV)",
        "2020",
        "https://github.com/jin-s13/COCO-WholeBody/",
    ),
    "aic": (
        (
            "Wu, Jiahong and Zheng, He and Zhao, Bo and Li, Yixin and Yan, Baoming and Liang, "
            "Rui and Wang, Wenjia and Zhou, Shipei and Lin, Guosen and Fu, Yanwei and others"
        ),
        "Ai challenger: A large-scale dataset for going deeper in image understanding",
        "arXiv",
        "2017",
        "https://github.com/AIChallenger/AI_Challenger_2017",
    ),
    "coco_openpose": (
        "Zhe, Cao and Tomas, Simon and Shih-En, Wei and Yaser, Sheikh",
        "OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields",
        "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        "2019",
        "https://github.com/CMU-Perceptual-Computing-Lab/openpose/",
    ),
    "crowdpose": (
        ("Li, Jiefeng and Wang, Can and Zhu, Hao and Mao, Yihuan and Fang, Hao-Shu and Lu, Cewu"),
        "CrowdPose: Efficient Crowded Scenes Pose Estimation and A New Benchmark",
        "Proceedings of IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        "2019",
        "https://github.com/Jeff-sjtu/CrowdPose",
    ),
    "mpii": (
        "Mykhaylo Andriluka and Leonid Pishchulin and Peter Gehler and Schiele, Bernt",
        "2D Human Pose Estimation: New Benchmark and State of the Art Analysis",
        "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        "2014",
        "http://human-pose.mpi-inf.mpg.de/",
    ),
    "mhp": (
        (
            "Zhao, Jian and Li, Jianshu and Cheng, Yu and Sim, Terence and Yan, Shuicheng and "
            "Feng, Jiashi"
        ),
        (
            "Understanding humans in crowded scenes: Deep nested adversarial learning and a new "
            "benchmark for multi-human parsing"
        ),
        "Proceedings of the 26th ACM international conference on Multimedia",
        "2018",
        "https://lv-mhp.github.io/dataset",
    ),
    "jhmdb": (
        "H. Jhuang and J. Gall and S. Zuffi and C. Schmid and M. J. Black",
        "Towards understanding action recognition",
        "International Conf. on Computer Vision (ICCV)",
        "2013",
        "http://jhmdb.is.tue.mpg.de/dataset",
    ),
    "posetrack18": (
        (
            "Andriluka, Mykhaylo and Iqbal, Umar and Insafutdinov, Eldar and Pishchulin, Leonid "
            "and Milan, Anton and Gall, Juergen and Schiele, Bernt"
        ),
        "Posetrack: A benchmark for human pose estimation and tracking",
        "Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition",
        "2018",
        "https://posetrack.net/users/download.php",
    ),
    "exlpose": (
        (
            "Sohyun Lee, Jaesung Rim, Boseung Jeong, Geonu Kim,ByungJu Woo, Haechan Lee, "
            "Sunghyun Cho, Suha Kwak"
        ),
        "Human Pose Estimation in Extremely Low-Light Conditions",
        "arXiv",
        "2023",
        "https://arxiv.org/abs/2303.15410",
    ),
    "ochuman": (
        (
            "Zhang, Song-Hai and Li, Ruilong and Dong, Xin and Rosin, Paul and Cai, Zixi and "
            "Han, Xi and Yang, Dingcheng and Huang, Haozhi and Hu, Shi-Min"
        ),
        "Pose2seg: Detection free human instance segmentation",
        "Proceedings of the IEEE conference on computer vision and pattern recognition",
        "2019",
        "https://github.com/liruilong940607/OCHumanApi",
    ),
    "humanart": (
        "Ju, Xuan and Zeng, Ailing and Wang, Jianan and Xu, Qiang and Zhang, Lei",
        "Human-Art: A Versatile Human-Centric Dataset Bridging Natural and Artificial Scenes",
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        "2023",
        "https://idea-research.github.io/HumanArt/",
    ),
    "humanart_aic": (
        "Ju, Xuan and Zeng, Ailing and Wang, Jianan and Xu, Qiang and Zhang, Lei",
        "Human-Art: A Versatile Human-Centric Dataset Bridging Natural and Artificial Scenes",
        "CVPR",
        "2023",
        "https://idea-research.github.io/HumanArt/",
    ),
    "halpe": (
        (
            "Li, Yong-Lu and Xu, Liang and Liu, Xinpeng and Huang, Xijie and Xu, Yue and Wang, "
            "Shiyi and Fang, Hao-Shu and Ma, Ze and Chen, Mingyang and Lu, Cewu"
        ),
        "PaStaNet: Toward Human Activity Knowledge Engine",
        "CVPR",
        "2020",
        "https://github.com/Fang-Haoshu/Halpe-FullBody/",
    ),
    "mpii_trb": (
        (
            "Duan, Haodong and Lin, Kwan-Yee and Jin, Sheng and Liu, Wentao and Qian, Chen and "
            "Ouyang, Wanli"
        ),
        "TRB: A Novel Triplet Representation for Understanding 2D Human Body",
        "Proceedings of the IEEE International Conference on Computer Vision",
        "2019",
        "https://github.com/kennymckormick/Triplet-Representation-of-human-Body",
    ),
    "h36m": (
        "Ionescu, Catalin and Papava, Dragos and Olaru, Vlad and Sminchisescu, Cristian",
        (
            "Human3.6M: Large Scale Datasets and Predictive Methods for 3D Human Sensing in "
            "Natural Environments"
        ),
        "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        "2014",
        "http://vision.imar.ro/human3.6m/description.php",
    ),
    "mpi_inf_3dhp": (
        (
            "ehta, Dushyant and Rhodin, Helge and Casas, Dan and Fua, Pascal and Sotnychenko, "
            "Oleksandr and Xu, Weipeng and Theobalt, Christian"
        ),
        "Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision",
        "2017 international conference on 3D vision (3DV)",
        "2017",
        "http://gvv.mpi-inf.mpg.de/3dhp-dataset",
    ),
    "panoptic_body3d": (
        (
            "Joo, Hanbyul and Simon, Tomas and  Li, Xulongand Liu, Hao and Tan, Lei and Gui, Lin "
            "and Banerjee, Seanand Godisart, Timothy and Nabbe, Bart and Matthews, Iainand "
            "Kanade, Takeo and Nobuhara, Shohei and Sheikh, Yaser"
        ),
        "Panoptic Studio: A Massively Multiview System for Interaction Motion Capture",
        "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        "2017",
        "http://domedb.perception.cs.cmu.edu",
    ),
    "campus": (
        (
            "Belagiannis, Vasileios and Amin, Sikandar and Andriluka, Mykhaylo and Schiele, "
            "Bernt and Navab, Nassir and Ilic, Slobodan"
        ),
        "3D Pictorial Structures for Multiple Human Pose Estimation",
        "IEEE Computer Society Conference on Computer Vision and Pattern Recognition (CVPR)",
        "2014",
        "http://campar.in.tum.de/Chair/MultiHumanPose",
    ),
    "h3wb": (
        "Yue Zhu, Nermin Samet, David Picard",
        "H3WB: Human3.6M 3D WholeBody Dataset and Benchmark",
        "International Conf. on Computer Vision (ICCV)",
        "2023",
        "https://github.com/wholebody3d/wholebody3d",
    ),
    "ubody2d": (
        "Jing Lin, Ailing Zeng, Haoqian Wang, Lei Zhang, Yu Li",
        "One-Stage 3D Whole-Body Mesh Recovery with Component AwareTransformer",
        "IEEE Computer Society Conference on Computer Vision and Pattern Recognition (CVPR)",
        "2023",
        "https://github.com/IDEA-Research/OSX",
    ),
    "300vw": (
        (
            "Jie Shen, Stefanos Zafeiriou, Grigorios G. Chrysos, Jean Kossaifi, Georgios "
            "Tzimiropoulos, Maja Pantic"
        ),
        "The First Facial Landmark Tracking in-the-Wild Challenge: Benchmark and Results",
        "Proceedings of the IEEE international conference on computer vision workshops",
        "2016",
        "https://ibug.doc.ic.ac.uk/resources/300-VW/",
    ),
    "300wlp": (
        "Xiangyu Zhu1, and Zhen Lei1 and Xiaoming Liu2, and Hailin Shi1 and Stan Z. Li1",
        "300 faces in-the-wild challenge: Database and results",
        "Image and vision computing",
        "2016",
        "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm",
    ),
    "aflw": (
        "Koestinger, Martin and Wohlhart, Paul and Roth, Peter M and Bischof, Horst",
        (
            "Annotated facial landmarks in the wild: A large-scale, real-world database for "
            "facial landmark localization"
        ),
        "2011 IEEE international conference on computer vision workshops (ICCV workshops)",
        "2011",
        "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/aflw/",
    ),
    "cofw": (
        "Burgos-Artizzu, Xavier P and Perona, Pietro and Doll{\\'a}r, Piotr",
        "Robust face landmark estimation under occlusion",
        "Proceedings of the IEEE international conference on computer vision",
        "2013",
        "http://www.vision.caltech.edu/xpburgos/ICCV13/",
    ),
    "lapa": (
        "Liu, Yinglu and Shi, Hailin and Shen, Hao and Si, Yue and Wang, Xiaobo and Mei, Tao",
        "A New Dataset and Boundary-Attention Semantic Segmentation for Face Parsing.",
        "Proceedings of the AAAI Conference on Artificial Intelligence 2020",
        "2020",
        "https://github.com/JDAI-CV/lapa-dataset",
    ),
    "wflw": (
        "Wu, Wayne and Qian, Chen and Yang, Shuo and Wang, Quan and Cai, Yici and Zhou, Qiang",
        "Look at boundary: A boundary-aware face alignment algorithm",
        "Proceedings of the IEEE conference on computer vision and pattern recognition",
        "2018",
        "https://wywu.github.io/projects/LAB/WFLW.html",
    ),
    "freihand2d": (
        (
            "Zimmermann, Christian and Ceylan, Duygu and Yang, Jimei and Russell, Bryan and "
            "Argus, Max and Brox, Thomas"
        ),
        (
            "Freihand: A dataset for markerless capture of hand pose and shape from single rgb "
            "images"
        ),
        "Proceedings of the IEEE International Conference on Computer Vision",
        "2019",
        "https://lmb.informatik.uni-freiburg.de/projects/freihand/",
    ),
    "interhand2d": (
        ("Moon, Gyeongsik and Yu, Shoou-I and Wen, He and Shiratori, Takaaki and Lee, Kyoung Mu"),
        (
            "InterHand2.6M: A dataset and baseline for 3D interacting hand pose estimation from "
            "a single RGB image"
        ),
        "arXiv",
        "2020",
        "https://mks0601.github.io/InterHand2.6M/",
    ),
    "onehand10k": (
        "Wang, Yangang and Peng, Cong and Liu, Yebin",
        "Mask-pose cascaded cnn for 2d hand pose estimation from single color image",
        "IEEE Transactions on Circuits and Systems for Video Technology",
        "2018",
        "https://www.yangangwang.com/papers/WANG-MCC-2018-10.html",
    ),
    "panoptic_hand2d": (
        "Simon, Tomas and Joo, Hanbyul and Matthews, Iain and Sheikh, Yaser",
        "Hand keypoint detection in single images using multiview bootstrapping",
        "Proceedings of the IEEE conference on Computer Vision and Pattern Recognition",
        "2017",
        "http://domedb.perception.cs.cmu.edu/handdb.html",
    ),
    "rhd2d": (
        "Christian Zimmermann and Thomas Brox",
        "Learning to Estimate 3D Hand Pose from Single RGB Images",
        "arXiv",
        "2017",
        (
            ""
            "https://lmb.informatik.uni-freiburg.de/resources/datasets/RenderedHandposeDataset.en.html"
        ),
    ),
    "ak": (
        (
            "Singapore University of Technology and Design, Singapore. Xun Long Ng, Kian Eng "
            "Ong, Qichen Zheng, Yun Ni, Si Yong Yeo, Jun Liu."
        ),
        "Animal Kingdom: A Large and Diverse Dataset for Animal Behavior Understanding",
        "Conference on Computer Vision and Pattern Recognition (CVPR)",
        "2022",
        "https://sutdcv.github.io/Animal-Kingdom",
    ),
    "animalpose": (
        (
            "Cao, Jinkun and Tang, Hongyang and Fang, Hao-Shu and Shen, Xiaoyong and Lu, Cewu "
            "and Tai, Yu-Wing"
        ),
        "Cross-Domain Adaptation for Animal Pose Estimation",
        "The IEEE International Conference on Computer Vision (ICCV)",
        "2019",
        "https://sites.google.com/view/animal-pose/",
    ),
    "ap10k": (
        "Yu, Hang and Xu, Yufei and Zhang, Jing and Zhao, Wei and Guan, Ziyu and Tao, Dacheng",
        "AP-10K: A Benchmark for Animal Pose Estimation in the Wild",
        (
            "35th Conference on Neural Information Processing Systems (NeurIPS 2021) Track on "
            "Datasets and Bench-marks."
        ),
        "2021",
        "https://github.com/AlexTheBad/AP-10K",
    ),
    "atrw": (
        "Li, Shuyuan and Li, Jianguo and Tang, Hanlin and Qian, Rui and Lin, Weiyao",
        "ATRW: A Benchmark for Amur Tiger Re-identification in the Wild",
        "Proceedings of the 28th ACM International Conference on Multimedia",
        "2020",
        "https://cvwc2019.github.io/challenge.html",
    ),
    "fly": (
        (
            "Pereira, Talmo D and Aldarondo, Diego E and Willmore, Lindsay and Kislin, Mikhail "
            "and Wang, Samuel S-H and Murthy, Mala and Shaevitz, Joshua W"
        ),
        "Fast animal pose estimation using deep neural networks",
        "Nature methods",
        "2019",
        "https://github.com/jgraving/DeepPoseKit-Data",
    ),
    "horse10": (
        (
            "Mathis, Alexander and Biasi, Thomas and Schneider, Steffen and Yuksekgonul, Mert "
            "and Rogers, Byron and Bethge, Matthias and Mathis, Mackenzie W"
        ),
        "Pretraining boosts out-of-domain robustness for pose estimation",
        "Proceedings of the IEEE/CVF Winter Conference on Applications of Computer Vision",
        "2021",
        "http://www.mackenziemathislab.org/horse10",
    ),
    "locust": (
        (
            "Graving, Jacob M and Chae, Daniel and Naik, Hemal and Li, Liang and Koger, Benjamin "
            "and Costelloe, Blair R and Couzin, Iain D"
        ),
        (
            "DeepPoseKit, a software toolkit for fast and robust animal pose estimation using "
            "deep learning"
        ),
        "Elife",
        "2019",
        "https://github.com/jgraving/DeepPoseKit-Data",
    ),
    "macaque": (
        (
            "Labuguen, Rollyn and Matsumoto, Jumpei and Negrete, Salvador and Nishimaru, Hiroshi "
            "and Nishijo, Hisao and Takada, Masahiko and Go, Yasuhiro and Inoue, Ken-ichi and "
            "Shibata, Tomohiro"
        ),
        (
            'MacaquePose: A novel "in the wild" macaque monkey pose dataset for markerless '
            "motion capture"
        ),
        "bioRxiv",
        "2020",
        "http://www.pri.kyoto-u.ac.jp/datasets/macaquepose/index.html",
    ),
    "deepfashion2": (
        (
            "Yuying Ge and Ruimao Zhang and Lingyun Wu and Xiaogang Wang and Xiaoou Tang and "
            "Ping Luo"
        ),
        (
            "DeepFashion2: A Versatile Benchmark for Detection, Pose Estimation, Segmentation "
            "and Re-Identification of Clothing Images"
        ),
        "Proceedings of IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        "2019",
        "https://github.com/switchablenorms/DeepFashion2",
    ),
    "deepfashion_full": (
        "Liu, Ziwei and Luo, Ping and Qiu, Shi and Wang, Xiaogang and Tang, Xiaoou",
        "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations",
        "Proceedings of IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        "2016",
        "http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/LandmarkDetection.html",
    ),
    "sapiens": (
        (
            "Khirodkar, Rawal and Bagautdinov, Timur and Martinez, Julieta and Su, Zhaoen and "
            "James, Austin and Selednik, Peter and Anderson, Stuart and Saito, Shunsuke"
        ),
        "Sapiens: Foundation for Human Vision Models",
        "European Conference on Computer Vision (ECCV)",
        "2024",
        "https://github.com/facebookresearch/sapiens",
    ),
}
_MORE: dict[str, dict[str, str]] = {"ak": {"version": "1.0 (2022-06)", "date_created": "2022-06"}}


def paper_info(keys: str) -> dict[str, Any] | list[dict[str, Any]]:
    """`paper_info` of a key, or a list of them for several keys joined with "+"."""
    found = [
        {**dict(zip(_FIELDS, _PAPERS[key], strict=True)), **_MORE.get(key, {})}
        for key in keys.split("+")
    ]
    return found if len(found) > 1 else found[0]
